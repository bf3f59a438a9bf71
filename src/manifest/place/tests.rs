use super::super::options::Delimiter;
use super::super::row::{Cells, RawRow};
use super::super::testing::{open, places};
use super::{Place, field_at};

fn at(line: u64, column: u64) -> Place {
    Place { line, column }
}

#[test]
fn columns_are_characters_of_the_physical_line() {
    let manifest = open("m.csv", "a;b;c\n\u{e4};\"\u{1f600};\"\"\";x\n\"two\r\nlines\";\"\";\u{fc}\r\n;;\n").unwrap();
    assert_eq!(
        places(&manifest),
        [vec![at(2, 1), at(2, 3), at(2, 10)], vec![at(3, 1), at(4, 8), at(4, 11)], vec![at(5, 1), at(5, 2), at(5, 3)],]
    );
}

#[test]
fn a_field_that_is_not_there_is_where_the_row_ends() {
    let cells = csv::ByteRecord::from(vec!["a", "b"]);
    let row = RawRow { number: 1, line: 3, raw: b"a,b", cells: Cells::Csv(&cells) };
    assert_eq!(row.place_of(2, Delimiter::COMMA), at(3, 4));
    assert_eq!(row.column_of(1, Delimiter::COMMA), 3);
    assert_eq!(row.place_of_name(1, Delimiter::COMMA), at(3, 3));
}

#[test]
fn properties_are_found_by_their_values_and_names() {
    let raw = "  {\"\u{e4}\\\"\" : [1,{\"x\":\"]}\"}] , \"b\":-1,\"c\":\"\\\\\" , \"d\" :null}";
    let row = RawRow { number: 1, line: 2, raw: raw.as_bytes(), cells: Cells::Json(&[]) };
    let columns: Vec<u64> = (0..5).map(|field| row.column_of(field, Delimiter::COMMA)).collect();
    assert_eq!(columns, [12, 33, 40, 52, 57]);
    let names: Vec<u64> = (0..5).map(|field| row.place_of_name(field, Delimiter::COMMA).column).collect();
    assert_eq!(names, [4, 29, 36, 47, 57]);
}

#[test]
fn bytes_are_told_by_their_field() {
    let raw = b"a,\"b,c\",,d";
    let fields: Vec<usize> = (0..=raw.len()).map(|offset| field_at(raw, Delimiter::COMMA, offset)).collect();
    assert_eq!(fields, [0, 0, 1, 1, 1, 1, 1, 1, 2, 3, 3]);
}
