//! Whether a server wants a token with every request or lets a connection stay signed in. It is found out, not configured:
//! IIS does either (`authPersistNonNTLM`).

/// How often in a row a connection that had signed in may be turned away before each request gets a token.
const MAX_LOST: u32 = 3;

/// What the server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Habit {
    /// Nobody tried yet.
    #[default]
    Unknown,
    /// A connection stays signed in.
    Connection,
    /// Every request needs a token.
    EachRequest,
}

/// What a request is for. Whether it gets through without a token is tried with one that changes nothing: what a server makes
/// of a create request by nobody is not for a row to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// To read.
    Reads,
    /// To create.
    Creates,
}

/// What was found out so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Habits {
    habit: Habit,
    /// How often in a row a connection that had signed in was turned away.
    n_lost: u32,
}

impl Habits {
    /// Returns whether the next request of a connection needs a token.
    pub(crate) fn needs_token(&self, is_signed_in: bool, aim: Aim) -> bool {
        !is_signed_in
            || match (self.habit, aim) {
                (Habit::Connection, _) | (Habit::Unknown, Aim::Reads) => false,
                (Habit::EachRequest, _) | (Habit::Unknown, Aim::Creates) => true,
            }
    }

    /// Takes what the server said of the connection when a token was taken.
    pub(crate) fn said(&mut self, persistent: Option<bool>) {
        match (persistent, self.habit) {
            (Some(true), Habit::Unknown) => self.habit = Habit::Connection,
            (Some(false), _) => self.habit = Habit::EachRequest,
            (Some(true), Habit::Connection | Habit::EachRequest) | (None, _) => {}
        }
    }

    /// A request without token got through on a connection that had signed in.
    pub(crate) fn got_through(&mut self) {
        *self = Self { habit: Habit::Connection, n_lost: 0 };
    }

    /// A request without token was turned away on a connection that had signed in. Where connections stay signed in, it was a
    /// new one: the old one had ended.
    pub(crate) fn turned_away(&mut self) {
        self.n_lost += 1;
        if self.habit == Habit::Unknown || self.n_lost >= MAX_LOST {
            self.habit = Habit::EachRequest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_try_without_a_token_finds_out() {
        let mut habits = Habits::default();
        assert!(habits.needs_token(false, Aim::Reads));
        habits.said(None);
        assert!(habits.needs_token(true, Aim::Creates));
        assert!(!habits.needs_token(true, Aim::Reads), "a try");
        habits.turned_away();
        assert!(habits.needs_token(true, Aim::Reads));

        let mut habits = Habits::default();
        habits.got_through();
        assert!(!habits.needs_token(true, Aim::Creates) && habits.needs_token(false, Aim::Creates));
    }

    #[test]
    fn the_servers_own_word_needs_no_try() {
        let mut habits = Habits::default();
        habits.said(Some(false));
        assert!(habits.needs_token(true, Aim::Creates));
        let mut habits = Habits::default();
        habits.said(Some(true));
        assert!(!habits.needs_token(true, Aim::Creates));
    }

    #[test]
    fn a_connection_may_end_and_a_server_that_takes_none_twice_gets_tokens() {
        let mut habits = Habits::default();
        habits.said(Some(true));
        for _ in 0..10 {
            habits.turned_away();
            habits.got_through();
        }
        assert!(!habits.needs_token(true, Aim::Creates));
        (0..MAX_LOST).for_each(|_| habits.turned_away());
        assert!(habits.needs_token(true, Aim::Creates));
        // Its word is no longer taken.
        habits.said(Some(true));
        assert!(habits.needs_token(true, Aim::Creates));
    }
}
