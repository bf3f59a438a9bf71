use std::convert::Infallible;

use super::*;
use crate::request::RunId;
use crate::validate::test_helpers::{manifest, surveyed};
use crate::validate::{CheckedRow, deliver};

const CARD: &str = "17cf063d-e337-4aa9-a822-346554ddd3c9";

/// The rejects file of these manifests.
fn rejects(manifests: &[Manifest], rules: &Rules) -> String {
    let survey = surveyed(manifests, rules);
    let mut writer = RejectsWriter::new(manifests, Some(RunMark::of(RunId::from_bytes([7; 16]))), Vec::new()).unwrap();
    deliver::<Infallible>(manifests, rules, &survey, |row| {
        if let CheckedRow::Invalid(invalid) = row {
            writer.write(&invalid).unwrap();
        }
        Ok(())
    })
    .unwrap();
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

#[test]
fn rejected_rows_keep_their_columns_and_say_what_is_wrong() {
    let text = format!("ID,type,smartcard,note.Name\nA,Unblock,{CARD},Zoë\nB,Enrol,x,\"O'Neil, Max\"\n");
    assert_eq!(
        rejects(&[manifest("wave.csv", text)], &Rules::default()),
        "ID,type,smartcard,note.Name,_row,_run,_error\n\
         B,Enrol,x,\"O'Neil, Max\",2,07070707-07,\"type \"\"Enrol\"\" is not a request type; did you mean Enroll? | smartcard \"\"x\"\" is not a GUID; write 32 hexadecimal digits in groups of 8-4-4-4-12, \
         such as 97cc3493-f556-4c9b-9d8b-982434201527\"\n"
    );
}

#[test]
fn a_mended_rejects_file_is_a_manifest_again() {
    let text = format!("type,smartcard,_row,_error\nUnblok,{CARD},7,old\n");
    let file = rejects(&[manifest("wave.csv", text)], &Rules::default());
    assert!(file.starts_with("type,smartcard,_row,_run,_error\nUnblok,"), "{file}");
    assert!(!surveyed(&[manifest("rejects.csv", &file)], &Rules::default()).is_valid());
    let mended = file.replacen("Unblok", "Unblock", 1);
    let survey = surveyed(&[manifest("rejects.csv", mended)], &Rules::default());
    assert!(survey.is_valid() && survey.n_valid == 1, "{:?}", survey.first);
}

#[test]
fn the_columns_of_several_manifests_are_put_together_by_what_they_mean() {
    let manifests = [
        manifest("a.csv", format!("Type,smartcard,body.Reason\nFoo,{CARD},1\n")),
        manifest("b.csv", format!("comment,BODY.reason,smartcard,type\nlost,2,{CARD},Bar\n")),
    ];
    let file = rejects(&manifests, &Rules::default());
    let mut lines = csv::Reader::from_reader(file.as_bytes());
    assert_eq!(lines.headers().unwrap(), vec!["Type", "smartcard", "body.Reason", "comment", "_row", "_run", "_error"]);
    let rows: Vec<Vec<String>> =
        lines.records().map(|row| row.unwrap().iter().take(5).map(str::to_owned).collect()).collect();
    assert_eq!(rows, [["Foo", CARD, "1", "", "1"], ["Bar", CARD, "2", "lost", "2"]]);
    let again = surveyed(&[manifest("rejects.csv", &file)], &Rules::default());
    assert_eq!(again.by_rule, [(Rule::UnknownType, 2)]);
}

#[test]
fn a_faulty_header_keeps_its_fault_and_its_rows() {
    let text = format!("type,smartcard,type,Floor\nUnblock,{CARD},Renew,3\n");
    let file = rejects(&[manifest("wave.csv", text)], &Rules::default());
    assert_eq!(
        file,
        format!(
            "type,smartcard,type,Floor,_row,_run,_error\nUnblock,{CARD},Renew,3,1,07070707-07,the header line is at fault\n"
        )
    );
}

#[test]
fn rows_that_could_not_be_taken_apart_are_refused_again_until_mended() {
    let text = format!(
        "type,smartcard,comment\nUnblock,{CARD}\nUnblock,{CARD},lost, found\nUnblock,{CARD},the \"new\" card\nUnblock,{CARD},\"lost\n"
    );
    let file = rejects(&[manifest("wave.csv", text)], &Rules::default());
    let again = surveyed(&[manifest("rejects.csv", &file)], &Rules::default());
    // The surplus field of the second row still stands there; the others wait for a decision alone.
    assert_eq!(again.by_rule, [(Rule::UndecidedReject, 3), (Rule::FieldCount, 1)], "{file}");
    assert!(file.contains("lost,2,") && file.contains(", found\n"), "{file}");
}

#[test]
fn json_rows_keep_the_form_of_their_values() {
    let text = format!(
        "{{\"type\":\"Foo\",\"smartcard\":\"{CARD}\",\"priority\":4,\"target\":null,\"datacollection\":[{{\"a\":\"ü\"}}],\"_row\":9,\"_error\":\"x\"}}\n{{oops\n"
    );
    let file = rejects(&[manifest("wave.jsonl", text)], &Rules::default());
    let lines: Vec<serde_json::Value> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["priority"], 4);
    assert_eq!(lines[0]["target"], serde_json::Value::Null);
    assert_eq!(lines[0]["datacollection"][0]["a"], "ü");
    assert_eq!((&lines[0]["_row"], &lines[0]["_run"]), (&1.into(), &"07070707-07".into()));
    assert!(lines[0]["_error"].as_str().unwrap().starts_with("type \"Foo\" is not a request type"));
    assert_eq!(lines[1]["(line)"], "{oops");
    let keep = Rules { extra_columns: ExtraColumns::Keep, ..Rules::default() };
    let again = surveyed(&[manifest("rejects.jsonl", &file)], &keep);
    assert_eq!((again.n_valid, again.n_invalid), (0, 2));
}

#[test]
fn the_two_forms_do_not_mix() {
    let manifests = [manifest("a.csv", "type,smartcard\n"), manifest("b.jsonl", "{}\n")];
    assert!(matches!(RejectsWriter::new(&manifests, None, Vec::new()), Err(RejectsError::MixedForms)));
}
