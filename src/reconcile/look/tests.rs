use super::*;
use crate::reconcile::Tagging;
use crate::reconcile::tests::support::*;

fn look(rows: impl IntoIterator<Item = u32>) -> Look {
    let mut look = Look::default();
    rows.into_iter().for_each(|number| look.add(&request(number)));
    look
}

fn own() -> RunMark {
    RunMark::of(tagged().run)
}

/// What run `run` has as its row `number`.
fn theirs(run: u8, number: u32) -> RequestObject {
    object_of(&identity(run, Tagging::Tagged), number)
}

/// The hits by a search for the rows, which are the same where the list is read before the rows are known.
#[track_caller]
fn searched(look: Look, objects: Vec<RequestObject>) -> Hits {
    let since = noon() - jiff::SignedDuration::from_hours(24);
    let strangers = block_on(Strangers::read(&MadeUp::of(objects.clone()), own(), since)).unwrap();
    let lazily = match strangers.no_hits() {
        Some(none) => none,
        None => strangers.hits(look.clone()).unwrap(),
    };
    let hits = block_on(look.search(&MadeUp::of(objects), own(), since)).unwrap();
    assert_eq!(format!("{lazily:?}"), format!("{hits:?}"));
    hits
}

#[test]
fn requests_of_other_runs_that_are_too_many_to_keep_are_left_to_a_search() {
    for (n, are_kept) in [(MAX_STRANGERS, true), (MAX_STRANGERS + 1, false)] {
        let list = MadeUp::of(vec![theirs(1, 7); n]);
        let strangers = block_on(Strangers::read(&list, own(), noon() - jiff::SignedDuration::from_hours(24))).unwrap();
        assert!(strangers.no_hits().is_none());
        assert_eq!(strangers.hits(look(1..=3)).is_ok_and(|hits| hits.is_empty()), are_kept);
    }
}

#[test]
fn an_open_or_completed_request_of_another_run_is_a_hit() {
    for (status, expected) in [
        (RequestStatus::None, true),
        (RequestStatus::Approved, true),
        (RequestStatus::Pending, true),
        (RequestStatus::Executing, true),
        (RequestStatus::Completed, true),
        (RequestStatus::Other(77), true),
        (RequestStatus::Denied, false),
        (RequestStatus::Failed, false),
        (RequestStatus::Canceled, false),
    ] {
        let hits = searched(look(1..=3), vec![RequestObject { status, ..theirs(1, 2) }]);
        assert_eq!(hits.of(&request(2)).is_some(), expected, "{status}");
        assert!(hits.of(&request(1)).is_none());
        assert_eq!((hits.is_empty(), hits.n_read()), (!expected, 1));
    }
}

#[test]
fn the_own_run_old_requests_other_rows_and_untagged_ones_are_none() {
    let old = RequestObject { submitted: Some(noon() - jiff::SignedDuration::from_hours(25)), ..theirs(1, 1) };
    let untagged = RequestObject { comment: "x".to_owned(), ..theirs(1, 1) };
    assert!(searched(look(1..=3), vec![object_of(&tagged(), 1), old.clone(), theirs(1, 9), untagged]).is_empty());
    let timeless = RequestObject { submitted: None, ..old };
    let hits = searched(look(1..=3), vec![timeless]);
    assert_eq!(hits.of(&request(1)).unwrap().submitted, None);
}

#[test]
fn a_request_for_another_target_or_template_is_not_the_rows() {
    let hits = searched(look(1..=1), vec![RequestObject { target: Some(guid(5)), ..theirs(1, 1) }]);
    assert!(hits.of(&request(1)).is_none());
    let hits = searched(look(1..=1), vec![RequestObject { template: Some(guid(5)), ..theirs(1, 1) }]);
    assert!(hits.of(&request(1)).is_none());
    // Where the server does not say, the fingerprint does.
    let hits = searched(look(1..=1), vec![RequestObject { target: None, ..theirs(1, 1) }]);
    assert_eq!(hits.of(&request(1)).map(|hit| hit.uuid), Some(uuid(1)));
}

#[test]
fn the_latest_of_several_is_given() {
    let early = RequestObject { submitted: Some(noon() - jiff::SignedDuration::from_hours(1)), ..theirs(1, 1) };
    let late = RequestObject { uuid: uuid(50), ..theirs(2, 1) };
    let hit = *searched(look(1..=1), vec![early, late]).of(&request(1)).unwrap();
    assert_eq!((hit.uuid, hit.run), (uuid(50), RunMark::of(identity(2, Tagging::Tagged).run)));
}

#[test]
fn runs_are_summed_up_with_rows_times_and_accounts() {
    let hour = jiff::SignedDuration::from_hours(1);
    let early = RequestObject { submitted: Some(noon() - hour), originator: Some(guid(0xBB)), ..theirs(1, 1) };
    let again = RequestObject { uuid: uuid(51), ..theirs(1, 1) };
    let hits = searched(look([1, 1, 2, 3]), vec![theirs(2, 3), early, again, theirs(1, 2), theirs(1, 2)]);
    let runs = hits.by_run();
    assert_eq!(runs.len(), 2);
    assert_eq!((runs[0].run, runs[0].n_rows), (RunMark::of(identity(1, Tagging::Tagged).run), 3));
    assert_eq!((runs[0].first_submitted, runs[0].last_submitted), (Some(noon() - hour), Some(noon())));
    assert_eq!(runs[0].originators.len(), 2);
    assert_eq!(runs[1].n_rows, 1);
}

#[test]
fn a_list_that_does_not_end_well_is_an_error() {
    let list = MadeUp { end: End::CutOff, ..MadeUp::of(vec![theirs(1, 1)]) };
    assert!(block_on(look(1..=1).search(&list, own(), noon())).is_err());
    let list = MadeUp { end: End::Refused(401), ..MadeUp::of(vec![]) };
    let error = block_on(look(1..=1).search(&list, own(), noon())).unwrap_err();
    assert_eq!(error.status(), Some(401));
}
