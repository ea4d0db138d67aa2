//! Numbers, labels and metadata in both formats.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

#[test]
fn numbers_are_written_exactly() {
    let cases: [(Value, &str); 18] = [
        (Value::Integer(0), "0"),
        (Value::Integer(u64::MAX), "18446744073709551615"),
        (true.into(), "1"),
        (false.into(), "0"),
        (85299.0.into(), "85299"),
        (86_400_000.0.into(), "86400000"),
        (0.0.into(), "0"),
        ((-0.0).into(), "0"),
        (0.125.into(), "0.125"),
        (1e-9.into(), "0.000000001"),
        (1_465_996_453.187.into(), "1465996453.187"),
        ((-1.5).into(), "-1.5"),
        ((MAX_EXACT - 1.0).into(), "9007199254740991"),
        (MAX_EXACT.into(), "9.007199254740992e15"),
        (f64::MAX.into(), "1.7976931348623157e308"),
        (f64::INFINITY.into(), "+Inf"),
        (f64::NEG_INFINITY.into(), "-Inf"),
        (f64::NAN.into(), "NaN"),
    ];
    for (value, expected) in cases {
        let text = value.to_string();
        assert_eq!(text, expected);
        if let Value::Float(value) = value {
            let read: f64 = text.parse().unwrap();
            assert!(read == value || value.is_nan(), "{text}");
        }
    }
}

fn labelled(value: &str) -> String {
    let mut text = String::new();
    write_label(&mut text, "l", &value, MAX_LABEL_CHARS);
    text
}

#[test]
fn label_values_are_escaped() {
    assert_eq!(labelled(""), r#"l="""#);
    assert_eq!(labelled("a\\b\"c\nd"), r#"l="a\\b\"c\nd""#);
    assert_eq!(
        labelled("<b>&'{}=,#\t\u{1f512}"),
        "l=\"<b>&'{}=,#\t\u{1f512}\""
    );
}

#[test]
fn label_values_are_cut_at_128_characters_before_escaping() {
    for character in ['x', 'ж', '\u{1f512}'] {
        let whole = character.to_string().repeat(128);
        assert_eq!(labelled(&whole), format!("l=\"{whole}\""));
        assert_eq!(labelled(&(whole.clone() + "y")), format!("l=\"{whole}\""));
    }
    assert_eq!(
        labelled(&"\"".repeat(200)),
        format!("l=\"{}\"", "\\\"".repeat(128))
    );
    let end = "x".repeat(127);
    assert_eq!(labelled(&(end.clone() + "\\n")), format!("l=\"{end}\\\\\""));
}

#[test]
fn label_value_of_several_parts_is_cut_once() {
    let mut text = String::new();
    let parts = format_args!("{}{}{}", 12, "ab", 34).to_string();
    write_label(&mut text, "l", &format_args!("{}{}{}", 12, "ab", 34), 5);
    assert_eq!(text, format!("l=\"{}\"", parts.get(..5).unwrap()));
}

/// The page that `write` writes.
fn written(format: Format, write: impl FnOnce(&mut ExpositionWriter<'_>)) -> String {
    let mut text = Vec::new();
    let mut page = ExpositionWriter::new(format, &mut text);
    write(&mut page);
    page.finish().unwrap();
    String::from_utf8(text).unwrap()
}

fn page(format: Format, meta: FamilyMeta<'_>) -> String {
    written(format, |page| {
        page.family(meta).sample("", "", &[], 1.into());
    })
}

#[test]
fn counter_metadata_in_both_formats() {
    let meta = FamilyMeta {
        name: "cats_seconds_total",
        kind: MetricType::Counter,
        help: "Cats seen.",
    };
    assert_eq!(
        page(Format::Text004, meta),
        "# HELP cats_seconds_total Cats seen.\n\
         # TYPE cats_seconds_total counter\n\
         cats_seconds_total 1\n"
    );
    assert_eq!(
        page(Format::OpenMetrics100, meta),
        "# HELP cats_seconds Cats seen.\n\
         # TYPE cats_seconds counter\n\
         # UNIT cats_seconds seconds\n\
         cats_seconds_total 1\n\
         # EOF\n"
    );
}

#[test]
fn unit_is_stated_only_where_the_name_ends_in_it() {
    let unit = |name| {
        let meta = FamilyMeta {
            name,
            kind: MetricType::Gauge,
            help: "",
        };
        let page = page(Format::OpenMetrics100, meta);
        let line = page.lines().find(|line| line.starts_with("# UNIT"));
        line.map(|line| line.rsplit_once(' ').unwrap().1.to_owned())
    };
    assert_eq!(unit("left_milliseconds").as_deref(), Some("milliseconds"));
    assert_eq!(unit("left_seconds").as_deref(), Some("seconds"));
    assert_eq!(unit("memory_bytes").as_deref(), Some("bytes"));
    for name in ["leftseconds", "seconds", "seconds_left", "cats"] {
        assert_eq!(unit(name), None, "{name}");
    }
}

#[test]
fn family_without_samples_is_not_written() {
    let meta = FamilyMeta {
        name: "cats",
        kind: MetricType::Gauge,
        help: "Cats.",
    };
    let page = written(Format::Text004, |page| {
        page.family(meta);
    });
    assert_eq!(page, "");
}

#[test]
fn large_page_is_whole_and_its_first_error_is_returned() {
    let fill = |page: &mut ExpositionWriter<'_>| {
        let mut family = page.family(FamilyMeta {
            name: "cats",
            kind: MetricType::Gauge,
            help: "Cats.",
        });
        for n in 0..10_000_u64 {
            family.sample("", "", &[("l", &n)], n.into());
        }
    };
    let page = written(Format::OpenMetrics100, fill);
    let numbers: Vec<_> = parsed(&page)
        .into_iter()
        .map(|(.., number)| number)
        .collect();
    assert_eq!(numbers, (0..10_000).map(f64::from).collect::<Vec<_>>());
    let mut full = [0; 100_000];
    let mut to = full.as_mut_slice();
    let mut page = ExpositionWriter::new(Format::Text004, &mut to);
    fill(&mut page);
    assert_eq!(page.finish().unwrap_err().kind(), io::ErrorKind::WriteZero);
}

#[test]
fn common_labels_precede_the_others() {
    let meta = FamilyMeta {
        name: "cats",
        kind: MetricType::Gauge,
        help: "Cats.",
    };
    let page = written(Format::Text004, |page| {
        let mut family = page.family(meta);
        family.sample("", "a=\"1\"", &[], 1.into());
        family.sample("", "a=\"1\"", &[("b", &2), ("c", &"3")], 2.into());
        family.sample("", "", &[("b", &2), ("c", &"3")], 3.into());
    });
    assert_eq!(
        page,
        "# HELP cats Cats.\n# TYPE cats gauge\n\
         cats{a=\"1\"} 1\ncats{a=\"1\",b=\"2\",c=\"3\"} 2\ncats{b=\"2\",c=\"3\"} 3\n"
    );
}

/// The samples of a page as name, label's value and number, by the grammar of both formats.
fn parsed(page: &str) -> Vec<(String, String, f64)> {
    // A line ends at a line feed only; other separators of lines may be in a label.
    let lines = page
        .split('\n')
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let samples = lines.map(|line| {
        let (name, rest) = line.split_once("{l=\"").unwrap();
        let (mut label, mut escaped) = (String::new(), false);
        let mut rest = rest.chars();
        for character in rest.by_ref() {
            match (escaped, character) {
                (true, 'n') => label.push('\n'),
                (true, '\\' | '"') => label.push(character),
                (true, other) => panic!("\\{other} is not an escape"),
                (false, '"') => break,
                (false, '\\') => {}
                (false, other) => label.push(other),
            }
            escaped = character == '\\' && !escaped;
        }
        let value = rest.as_str().strip_prefix("} ").unwrap();
        (name.to_owned(), label, value.parse().unwrap())
    });
    samples.collect()
}

proptest! {
    #[test]
    fn any_label_text_is_read_back(
        samples in prop::collection::vec(("\\PC{0,40}|.{0,40}|[\n\"\\\\]{0,9}", any::<f64>()), 0..5),
    ) {
        for format in [Format::Text004, Format::OpenMetrics100] {
            let page = written(format, |page| {
                let mut family = page.family(FamilyMeta {
                    name: "cats",
                    kind: MetricType::Gauge,
                    help: "Cats.",
                });
                for (label, value) in &samples {
                    family.sample("", "", &[("l", label)], (*value).into());
                }
            });
            let read = parsed(&page);
            prop_assert_eq!(read.len(), samples.len());
            for ((name, label, value), (expected_label, expected)) in read.iter().zip(&samples) {
                prop_assert_eq!((name.as_str(), label), ("cats", expected_label));
                prop_assert!(value == expected || value.is_nan() && expected.is_nan());
            }
        }
    }
}
