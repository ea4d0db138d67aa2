//! What is kept of many problems, and in which order.

#![allow(clippy::unwrap_used)]

use super::*;

fn place(line: usize) -> Place {
    Place::in_line(line, format!("file:{line}: key"))
}

fn shown(report: Report) -> Vec<String> {
    let problems = report.into_result().unwrap_err().to_string();
    problems.lines().map(str::to_owned).collect()
}

#[test]
fn variables_come_first_and_then_the_file_from_top_to_bottom() {
    let mut report = Report::default();
    report.add(place(7), None, "is wrong".to_owned());
    report.add(place(3), Some("x"), "is wrong".to_owned());
    report.add(place(3), Some("x"), "is wrong twice".to_owned());
    report.add(Place::variable("NAME"), None, "is wrong".to_owned());
    assert_eq!(
        shown(report),
        [
            "NAME: is wrong",
            "file:3: key=\"x\": is wrong",
            "file:3: key=\"x\": is wrong twice",
            "file:7: key: is wrong",
        ]
    );
}

#[test]
fn of_many_the_first_lines_are_shown_whenever_they_were_found() {
    let mut report = Report::default();
    for line in (1..=1000).rev() {
        report.add(place(line), None, "is wrong".to_owned());
        report.add(place(line), None, "is wrong".to_owned());
    }
    let lines = shown(report);
    assert_eq!(lines.len(), 51);
    assert_eq!(lines.first().unwrap(), "file:1: key: is wrong");
    assert_eq!(lines.last().unwrap(), "and 950 more");
}

#[test]
fn very_many_are_not_counted_and_hide_nothing_that_comes_first() {
    let mut report = Report::default();
    for line in 0..MOST_COUNTED + 10 {
        report.add(place(line + 100), None, "is wrong".to_owned());
    }
    assert!(report.is_full());
    for _ in 0..2 {
        report.add(place(1), None, "is wrong".to_owned());
    }
    let lines = shown(report);
    assert_eq!(lines.len(), 51);
    assert_eq!(lines.first().unwrap(), "file:1: key: is wrong");
    assert_eq!(lines.get(1).unwrap(), "file:100: key: is wrong");
    assert_eq!(lines.last().unwrap(), "and at least 99950 more");
}

#[test]
fn a_problem_stays_on_its_line_and_has_an_end() {
    let mut report = Report::default();
    let long = "x".repeat(10_000);
    report.add(
        Place::variable("NAME\n\u{1b}[31mок"),
        Some("a\nb"),
        format!("is \r \"wrong\" {long}"),
    );
    let lines = shown(report);
    let cut = "x".repeat(LONGEST_TEXT - 13);
    assert_eq!(
        lines,
        [format!(
            "NAME\\n\\u{{1b}}[31mок=\"a\\nb\": is \\r \"wrong\" {cut}…"
        )]
    );
}
