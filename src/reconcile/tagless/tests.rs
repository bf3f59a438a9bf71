use super::*;
use crate::reconcile::tests::world::*;

#[test]
fn of_more_than_can_be_kept_nobody_can_say_whose_they_are() {
    let mut world = World::begun(3);
    world.lose(1);
    let doubt = world.reader().in_doubt(0, 1).unwrap().remove(0);
    let mut tagless = Tagless::since(Some(doubt.sent_at()));
    for number in 0..MAX_KEPT {
        tagless.take(&object(number as u128 + 1, &request(2), "a long comment".to_owned()));
    }
    tagless.order();
    assert_eq!(tagless.of(&doubt), None, "all of them are for another target");
    tagless.take(&object(1 << 40, &request(2), String::new()));
    assert_eq!(tagless.of(&doubt), Some(Vec::new()));
    assert_eq!(tagless.requests.len(), MAX_KEPT);
}

#[test]
fn at_most_five_candidates_are_named() {
    let mut world = World::begun(3);
    world.lose(1);
    let doubt = world.reader().in_doubt(0, 1).unwrap().remove(0);
    let mut tagless = Tagless::since(Some(doubt.sent_at()));
    (1..=9).for_each(|number| tagless.take(&object(number, &request(1), String::new())));
    tagless.order();
    assert_eq!(tagless.of(&doubt).map(|all| all.len()), Some(5));
}
