use super::*;

fn new(kind: RequestType) -> NewRequest {
    NewRequest {
        kind,
        template: None,
        target: None,
        smartcard: None,
        profile: None,
        comment: String::new(),
        priority: None,
        data: Vec::new(),
        extra: Map::new(),
    }
}

fn store(life: Life) -> Store {
    let mut templates = Template::examples();
    templates[0].default_priority = 9;
    Store::new(&templates, life, Clock::start())
}

#[test]
fn a_template_gives_priority_and_card() {
    let mut store = store(Life::default());
    let templates = Template::examples();
    for (template, priority, on_card) in
        [(Some(templates[0].uuid), 9, true), (Some(templates[1].uuid), 0, false), (None, 0, false)]
    {
        let uuid = store.create(NewRequest { template, ..new(RequestType::Enroll) }, Fate::Completed);
        let seen = store.find(uuid.guid()).unwrap();
        assert_eq!((seen.row.priority, seen.row.on_card), (priority, on_card));
    }
    let unknown = NewRequest { template: Some(Guid::from_bytes([1; 16])), ..new(RequestType::Renew) };
    let on_card = NewRequest { smartcard: Some(Guid::from_bytes([2; 16])), ..unknown.clone() };
    let uuids = [unknown, on_card].map(|new| store.create(new, Fate::Completed));
    assert_eq!(uuids.map(|uuid| store.find(uuid.guid()).unwrap().row.on_card), [false, true]);
}

#[test]
fn an_old_request_has_gone_its_way() {
    let life = Life { approve_after: Duration::from_secs(10), complete_after: Some(Duration::from_secs(20)) };
    let mut store = store(life);
    let submitted: Timestamp = "2024-03-05T10:11:12Z".parse().unwrap();
    let uuid = RequestUuid::new(Guid::from_bytes([1; 16]));
    let request = CreateRequest::new(RequestType::Enroll);
    let seeded = SeededRequest { uuid, request, comment: String::new(), submitted: Some(submitted) };
    store.seed(seeded).unwrap();
    let seen = store.find(uuid.guid()).unwrap();
    assert_eq!(seen.status, RequestStatus::Completed);
    assert_eq!(seen.completed_ms, Some(submitted.as_millisecond() + 30_000));
    assert_eq!(
        store.change(uuid.guid(), Change::Cancel).err(),
        Some(ChangeError::WrongStatus(RequestStatus::Completed))
    );
}

#[test]
fn a_visit_goes_on_where_it_stopped_and_ends_at_its_end() {
    let mut store = store(Life::default());
    for _ in 0..10 {
        store.create(new(RequestType::Revoke), Fate::Completed);
    }
    let mut places = Vec::new();
    let mut from = 0;
    while from < 8 {
        let mut n_seen = 0;
        from = store.visit(&Filter::ALL, from, 8, |_| {
            n_seen += 1;
            if n_seen == 3 { Visit::Enough } else { Visit::More }
        });
        places.push((from, n_seen));
    }
    assert_eq!(places, [(3, 3), (6, 3), (8, 2)]);
    assert_eq!(store.visit(&Filter::ALL, 0, usize::MAX, |_| Visit::More), 10);
}
