//! Which rows a step may claim, by their kinds.

use std::collections::HashSet;

use super::step::ClaimKinds;
use crate::request::RequestKind;

/// What a claim does with a row that it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It claims it.
    Claim,
    /// It passes it over: listed for this session alone.
    PassOver,
    /// It ends before it.
    Stop,
}

/// Decides about the rows that one step comes to.
#[derive(Debug)]
pub(super) struct Guard<'a> {
    kinds: &'a ClaimKinds,
    /// The kinds that are not open and of which a row is claimed.
    taken: HashSet<RequestKind>,
    /// How many rows are still to be claimed in row order.
    pub(super) wanted: u32,
    /// How many rows may still be passed over.
    left: u32,
    /// Whether the claim ended because too many rows were to be passed over.
    pub(super) stopped_short: bool,
}

impl<'a> Guard<'a> {
    /// Returns what decides for a step that claims so many rows in row order, where rows of these kinds are in flight.
    pub(super) fn new(kinds: &'a ClaimKinds, in_flight: impl Iterator<Item = RequestKind>, wanted: u32) -> Self {
        let (taken, left) = match kinds {
            ClaimKinds::All => (HashSet::new(), 0),
            ClaimKinds::Guarded { pass_over, .. } => (in_flight.collect(), *pass_over),
        };
        Self { kinds, taken, wanted, left, stopped_short: false }
    }

    /// Returns how many rows are looked at for those that are still to be claimed in row order.
    pub(super) const fn n_to_look_at(&self) -> u32 {
        // One more tells whether there is anything left to pass over.
        match self.kinds {
            ClaimKinds::All => self.wanted,
            ClaimKinds::Guarded { .. } => self.wanted.saturating_add(self.left).saturating_add(1),
        }
    }

    /// Returns whether a row of this kind may be claimed, and takes it that it is.
    pub(super) fn admits(&mut self, kind: RequestKind) -> bool {
        match self.kinds {
            ClaimKinds::All => true,
            ClaimKinds::Guarded { open, held, .. } => {
                open.contains(&kind) || (!held.contains(&kind) && self.taken.insert(kind))
            }
        }
    }

    /// Decides about a row of this kind that a claim in row order comes to.
    pub(super) fn admit(&mut self, kind: RequestKind) -> Admission {
        if self.wanted == 0 {
            return Admission::Stop;
        }
        if self.admits(kind) {
            self.wanted -= 1;
            return Admission::Claim;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Admission::PassOver
            }
            None => {
                (self.wanted, self.stopped_short) = (0, true);
                Admission::Stop
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::RequestType;

    fn kind(request_type: RequestType) -> RequestKind {
        RequestKind { request_type, template: None }
    }

    #[test]
    fn open_kinds_are_free_and_others_go_one_by_one() {
        let (enroll, renew, revoke) = (kind(RequestType::Enroll), kind(RequestType::Renew), kind(RequestType::Revoke));
        let kinds = ClaimKinds::Guarded { open: vec![enroll], held: vec![revoke], pass_over: 2 };
        let mut guard = Guard::new(&kinds, [enroll].into_iter(), 6);
        let decided = [enroll, renew, revoke, enroll, renew, renew, enroll].map(|kind| guard.admit(kind));
        let (claim, pass, stop) = (Admission::Claim, Admission::PassOver, Admission::Stop);
        assert_eq!(decided, [claim, claim, pass, claim, pass, stop, stop]);
        assert_eq!((guard.wanted, guard.stopped_short), (0, true));
        let mut guard = Guard::new(&kinds, [renew].into_iter(), 5);
        assert_eq!(guard.admit(renew), pass, "one of the kind is in flight");
        assert_eq!(guard.n_to_look_at(), 7);
        let mut guard = Guard::new(&ClaimKinds::All, [renew].into_iter(), 2);
        assert_eq!(guard.n_to_look_at(), 2);
        assert_eq!([guard.admit(renew), guard.admit(renew), guard.admit(renew)], [claim, claim, stop]);
        assert!(!guard.stopped_short, "as many are claimed as were wanted");
    }
}
