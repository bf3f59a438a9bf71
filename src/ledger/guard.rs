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
    /// How many rows may still be passed over.
    left: u32,
}

impl<'a> Guard<'a> {
    /// Returns what decides for a step, where rows of these kinds are in flight.
    pub(super) fn new(kinds: &'a ClaimKinds, in_flight: impl Iterator<Item = RequestKind>) -> Self {
        match kinds {
            ClaimKinds::All => Self { kinds, taken: HashSet::new(), left: 0 },
            ClaimKinds::Guarded { pass_over, .. } => Self { kinds, taken: in_flight.collect(), left: *pass_over },
        }
    }

    /// Returns how many rows are looked at to claim so many.
    pub(super) const fn n_to_look_at(&self, limit: u32) -> u32 {
        // One more tells whether there is anything left to pass over.
        match self.kinds {
            ClaimKinds::All => limit,
            ClaimKinds::Guarded { .. } => limit.saturating_add(self.left).saturating_add(1),
        }
    }

    /// Decides about a row of this kind.
    pub(super) fn admit(&mut self, kind: RequestKind) -> Admission {
        let ClaimKinds::Guarded { open, held, .. } = self.kinds else { return Admission::Claim };
        if open.contains(&kind) || (!held.contains(&kind) && self.taken.insert(kind)) {
            return Admission::Claim;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Admission::PassOver
            }
            None => Admission::Stop,
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
        let mut guard = Guard::new(&kinds, [enroll].into_iter());
        let decided = [enroll, renew, revoke, enroll, renew, renew, enroll].map(|kind| guard.admit(kind));
        let (claim, pass, stop) = (Admission::Claim, Admission::PassOver, Admission::Stop);
        assert_eq!(decided, [claim, claim, pass, claim, pass, stop, claim]);
        let mut guard = Guard::new(&kinds, [renew].into_iter());
        assert_eq!(guard.admit(renew), pass, "one of the kind is in flight");
        assert_eq!(guard.n_to_look_at(5), 7);
        let mut guard = Guard::new(&ClaimKinds::All, [renew].into_iter());
        assert_eq!([guard.admit(renew), guard.admit(renew)], [claim, claim]);
        assert_eq!(guard.n_to_look_at(5), 5);
    }
}
