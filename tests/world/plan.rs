//! Plans that build a dangerous state on purpose, as the findings did.

use crate::draws::{A, A2, B, Draws, Writer, setup};
use crate::step::{
    Already, Beside, Cmd, Crossing, Fate, Fault, Files, History, ListFault, Opts, ReadFault, Setup, Step, hash,
};

/// A plan that builds a dangerous state on purpose: what it is called, which finding it looks for.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) finding: &'static str,
    write: fn(&mut Draws, &mut Setup, &mut Writer),
}

impl Plan {
    /// Writes the plan's history of a seed.
    pub(crate) fn history(&self, seed: u64) -> History {
        let name = self.name.bytes().fold(7, |sum, byte| hash(&[sum, u64::from(byte)]));
        let mut draws = Draws::new(hash(&[seed, name]));
        let mut setup = setup(&mut draws);
        let mut writer = Writer { at: 0, p: 0, steps: Vec::new() };
        (self.write)(&mut draws, &mut setup, &mut writer);
        History { seed, shows: None, setup, steps: writer.steps }
    }
}

const SUBMIT: Cmd = Cmd::Submit { list: 0 };
const LONG: u64 = 4_000_000;

fn lists(fault: ListFault) -> Step {
    Step::Fault { fault: Fault::List(fault), for_ms: LONG }
}

/// Returns all plans.
pub(crate) fn plans() -> Vec<Plan> {
    let plan = |name, finding, write| Plan { name, finding, write };
    vec![
        plan("copy_of_a_single_file", "1", |draws, setup, writer| {
            setup.rows = draws.small(4, 30);
            let n = draws.small(1, setup.rows);
            writer.run_to(10, A, SUBMIT, Opts::default(), Some(Crossing::CallMade(n)));
            writer.after(200_000, Step::Copy { from: A, to: B, files: Files::Single }).submit(10, B);
        }),
        plan("log_and_lock_deleted", "1", |draws, setup, writer| {
            let n = draws.small(1, setup.rows);
            writer.run_to(10, A, SUBMIT, Opts::default(), Some(Crossing::CallMade(n)));
            writer.after(200_000, Step::Move { at: A, what: Beside::LogAndLock }).submit(10, A);
        }),
        plan("backup_put_back", "2", |draws, setup, writer| {
            (setup.rows, setup.per_minute) = (draws.small(4, 30), 60);
            let no_tag = draws.one_in(2);
            writer.run(10, A, SUBMIT, Opts { no_tag, ..Opts::default() });
            writer.after(draws.of(500, 9_000), Step::Keep { host: 1, slot: 0 });
            writer.after(600_000, Step::PutBack { host: 1, slot: 0, state_too: draws.one_in(2) });
            let fault =
                draws.pick(&[ListFault::Forbidden, ListFault::CutNew { lacks: 3 }, ListFault::CutOld { keep: 2 }]);
            writer.after(10, lists(fault)).run(10, A, SUBMIT, Opts { no_tag, ..Opts::default() });
        }),
        plan("disk_reverted", "3", |draws, setup, writer| {
            (setup.rows, setup.per_minute) = (draws.small(4, 30), 60);
            writer.submit(10, A).after(draws.of(500, 9_000), Step::Keep { host: 1, slot: 0 });
            writer.after(600_000, Step::Revert { host: 1, slot: 0 });
            let fault = draws.pick(&[ListFault::Forbidden, ListFault::CutNew { lacks: 3 }, ListFault::Unreadable]);
            writer.after(10, lists(fault)).submit(10, A);
        }),
        plan("list_without_the_oldest", "4", |draws, setup, writer| {
            (setup.rows, setup.kinds) = (draws.small(3, 12), 1);
            writer.after(1, Step::Fate { row: 1, nth: 1, fate: Fate::CreatedAndLost });
            let keep = setup.rows as usize - 1;
            writer.after(1, lists(ListFault::CutOld { keep })).submit(10, A);
        }),
        plan("list_without_a_kind", "4", |draws, setup, writer| {
            (setup.rows, setup.kinds) = (draws.small(2, 12), 2);
            writer.after(1, Step::Fate { row: 2, nth: 1, fate: Fate::CreatedAndLost });
            writer.after(1, lists(ListFault::WithoutKind { kind: 1 })).submit(10, A);
        }),
        plan("append_in_a_copy", "5", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            writer.submit(10, A).after(600_000, Step::Copy { from: A, to: B, files: Files::Single });
            writer.run(10, A, Cmd::Append { list: 1 }, Opts::default());
            writer.run(600_000, B, Cmd::Append { list: 1 }, Opts::default());
        }),
        plan("appends_in_another_order", "5", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            writer.submit(10, A).after(600_000, Step::Copy { from: A, to: B, files: Files::Single });
            writer.run(10, A, Cmd::Append { list: 1 }, Opts::default());
            writer.run(600_000, B, Cmd::Append { list: 2 }, Opts::default());
            writer.run(600_000, B, Cmd::Append { list: 1 }, Opts::default());
        }),
        plan("corrections_in_a_copy", "5", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            let row = draws.small(1, setup.rows);
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::Is400 }).submit(10, A);
            writer.after(600_000, Step::Copy { from: A, to: B, files: Files::Single });
            writer.run(10, A, Cmd::From { list: 0, swap: false }, Opts::default());
            writer.run(600_000, B, Cmd::From { list: 0, swap: false }, Opts::default());
        }),
        plan("copy_beside_the_running_one", "6", |draws, setup, writer| {
            (setup.rows, setup.per_minute) = (draws.small(20, 30), 6);
            let to = B;
            writer.submit(10, A).after(draws.of(2_000, 9_000), Step::Copy { from: A, to, files: Files::WithLog });
            writer.submit(10, to);
        }),
        plan("copy_beside_the_running_one_on_another_host", "6", |draws, setup, writer| {
            (setup.rows, setup.per_minute) = (draws.small(20, 30), 6);
            let to = A2;
            writer.submit(10, A).after(draws.of(2_000, 9_000), Step::Copy { from: A, to, files: Files::WithLog });
            writer.submit(10, to);
        }),
        plan("stopped_and_overtaken", "7", |draws, setup, writer| {
            (setup.rows, setup.per_minute) = (draws.small(3, 12), draws.pick(&[0, 20, 60]));
            writer.submit(10, A).after(draws.of(10, 9_000), Step::Stop { p: 1 });
            writer.after(200_000, Step::Move { at: A, what: Beside::Lock }).submit(10, A);
            writer.after(900_000, Step::Resume { p: 1 });
        }),
        plan("pilot_and_the_rest", "8a", |draws, setup, writer| {
            setup.rows = draws.small(3, 12);
            let limit = draws.small(1, setup.rows - 1);
            writer.run(10, A, SUBMIT, Opts { limit, ..Opts::default() });
            writer.run(600_000, B, SUBMIT, Opts { already: Already::Skip, ..Opts::default() }).submit(600_000, A);
        }),
        plan("away_at_the_first_start", "8b", |_, _, writer| {
            writer.submit(10, A).after(600_000, Step::Fault { fault: Fault::Away, for_ms: 30_000 });
            writer.run(10, B, SUBMIT, Opts { already: Already::Skip, ..Opts::default() });
            writer.run(600_000, B, SUBMIT, Opts { already: Already::Skip, ..Opts::default() });
        }),
        plan("list_unreadable_at_a_second_ledger", "8c", |draws, _, writer| {
            writer
                .submit(10, A)
                .after(600_000, lists(draws.pick(&[ListFault::Unreadable, ListFault::Odd { every: 1 }])))
                .submit(10, B);
        }),
        plan("clock_ahead_at_a_second_ledger", "8d", |_, _, writer| {
            writer.submit(10, A).after(600_000, Step::WallClock { host: 1, by_s: 60 * 86_400 }).submit(10, B);
        }),
        plan("two_ledgers_at_once", "8e", |draws, setup, writer| {
            setup.per_minute = 60;
            writer.submit(10, A).submit(draws.of(1, 400), B);
        }),
        plan("two_ledgers_at_once_on_two_hosts", "8e", |draws, setup, writer| {
            setup.per_minute = 60;
            writer.submit(10, A).submit(draws.of(1, 400), A2);
        }),
        plan("doubts_exported_and_submitted", "9", |draws, setup, writer| {
            let row = draws.small(1, setup.rows);
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::CreatedAndLost });
            writer.after(1, lists(ListFault::Forbidden)).submit(10, A);
            writer.after(900_000, Step::Export { at: A, list: 8 });
            writer.run(10, B, Cmd::Submit { list: 8 }, Opts::default());
        }),
        plan("uuid_of_two_rows", "10", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            writer
                .submit(10, A)
                .after(draws.of(1, 300), Step::Fault { fault: Fault::SharedUuid, for_ms: draws.of(100, 9_000) });
        }),
        plan("answers_of_two_rows_swapped", "10", |draws, setup, writer| {
            (setup.rows, setup.concurrency, setup.per_minute) = (draws.small(4, 10), 4, 0);
            writer.after(1, Step::Fault { fault: Fault::Swapped, for_ms: LONG }).submit(10, A);
        }),
        plan("gateway_that_repeats", "11", |draws, _, writer| {
            writer
                .after(1, Step::Fault { fault: Fault::Repeated { every: draws.small(1, 3) }, for_ms: LONG })
                .submit(10, A);
        }),
        plan("older_tag_in_front", "12", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            let row = draws.small(2, setup.rows);
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::CreatedAndLost });
            writer.after(1, lists(ListFault::OlderTags { row })).submit(10, A);
        }),
        plan("request_without_comment_and_template", "12", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            let row = draws.small(2, setup.rows);
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::CreatedAndLost });
            writer.after(1, lists(ListFault::Bare { row })).submit(10, A);
        }),
        plan("without_tags_in_a_copy", "13", |draws, setup, writer| {
            let opts = Opts { no_tag: true, ..Opts::default() };
            let n = draws.small(1, setup.rows);
            writer.run_to(10, A, SUBMIT, opts.clone(), Some(Crossing::CallMade(n)));
            writer.after(200_000, Step::Copy { from: A, to: B, files: Files::Single }).run(10, B, SUBMIT, opts);
        }),
        plan("without_tags_and_a_stranger", "13", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            let row = draws.small(1, setup.rows);
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::Lost });
            writer.after(1, Step::Fault { fault: Fault::Slow { by_ms: 3_000 }, for_ms: LONG });
            writer.run(10, A, SUBMIT, Opts { no_tag: true, ..Opts::default() });
            writer.after(draws.of(100, 9_000), Step::Stranger { row, tagged: false });
        }),
        plan("first_rows_in_doubt", "14", |draws, setup, writer| {
            (setup.rows, setup.kinds) = (draws.small(1, 8), 1);
            writer
                .after(
                    1,
                    Step::Fault { fault: Fault::Lost { every: 1, acts_after_ms: 0 }, for_ms: draws.of(1_000, 30_000) },
                )
                .submit(10, A);
        }),
        plan("killed_after_the_first_claim", "14", |draws, _, writer| {
            let at = Crossing::Point("step-committed".to_owned(), draws.small(1, 2));
            writer.run_to(10, A, SUBMIT, Opts::default(), Some(at)).submit(10_000, A);
        }),
        plan("wrong_target_and_no_reading", "14", |draws, setup, writer| {
            setup.rows = draws.small(12, 30);
            let reads = draws.pick(&[
                ReadFault::Reset,
                ReadFault::NotFound,
                ReadFault::Forbidden,
                ReadFault::Fails,
                ReadFault::Odd,
            ]);
            writer.after(1, Step::Fault { fault: Fault::WrongTarget, for_ms: LONG });
            writer.after(1, Step::Fault { fault: Fault::Reads(reads), for_ms: draws.of(2_000, LONG) }).submit(10, A);
        }),
        plan("one_row_that_is_not_found", "15", |draws, setup, writer| {
            setup.rows = draws.small(2, 12);
            let row = draws.small(1, setup.rows);
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::Is404 }).submit(10, A);
        }),
        plan("correction_stopped_and_repeated", "16", |draws, setup, writer| {
            setup.rows = draws.small(3, 10);
            for row in 1..=setup.rows / 2 + 1 {
                writer.after(1, Step::Fate { row, nth: 1, fate: Fate::Is400 });
            }
            setup.breaker = 25;
            writer.submit(10, A);
            let dies = draws.pick(&[Crossing::CallLeaves(2), Crossing::CallMade(1), Crossing::Answer(1)]);
            writer.run_to(600_000, A, Cmd::From { list: 0, swap: false }, Opts::default(), Some(dies));
        }),
        plan("corrected_targets_exchanged", "16", |_, setup, writer| {
            (setup.rows, setup.kinds, setup.breaker) = (4, 1, 25);
            for row in 1..=2 {
                writer.after(1, Step::Fate { row, nth: 1, fate: Fate::Is500 });
            }
            writer.submit(10, A).run(600_000, A, Cmd::From { list: 0, swap: true }, Opts::default());
        }),
        plan("template_guid_changed", "16", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            writer.run(10, A, SUBMIT, Opts { limit: 1, ..Opts::default() });
            writer.run(600_000, A, SUBMIT, Opts { other_template: true, ..Opts::default() });
        }),
        plan("server_away_and_waited_for", "17", |draws, setup, writer| {
            let (wait, away) = (Opts { wait_s: 600, ..Opts::default() }, draws.of(20_000, 200_000));
            setup.per_minute = 60;
            writer.after(draws.of(1, 4_000), Step::Fault { fault: Fault::Away, for_ms: away });
            writer.at = 0;
            writer.run(draws.of(2, 3_000), A, SUBMIT, wait);
        }),
        plan("twins_that_are_one_call", "21", |_, setup, writer| {
            setup.twin = true;
            writer.submit(10, A);
        }),
    ]
}

/// Writes a history in which a person's word makes a row exist twice: `--already send`, `--trust-list`, a false verdict.
pub(crate) fn canary(which: usize, seed: u64) -> History {
    let mut draws = Draws::new(hash(&[seed, 9, which as u64]));
    let mut setup = setup(&mut draws);
    setup.rows = draws.small(2, 8);
    let mut writer = Writer { at: 0, p: 0, steps: Vec::new() };
    let row = draws.small(1, setup.rows);
    match which {
        0 => {
            writer.submit(10, A).run(600_000, B, SUBMIT, Opts { already: Already::Send, ..Opts::default() });
        }
        _ => {
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::CreatedAndLost });
            writer.after(1, lists(ListFault::HidesRow { row }));
            writer.run(10, A, SUBMIT, Opts { trust_list: true, ..Opts::default() });
        }
    }
    History { seed, shows: None, setup, steps: writer.steps }
}
