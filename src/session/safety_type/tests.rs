//! Names of safety types.

use super::*;

#[test]
fn vendor_names_are_built_in_and_other_ids_are_unknown() {
    let names = SafetyNames::default();
    for (id, name) in [
        (0, "no_key"),
        (4, "password"),
        (14, "api_key"),
        (19, "face"),
        (1, "unknown"),
        (10, "unknown"),
        (-1, "unknown"),
    ] {
        assert_eq!(names.name(SafetyType::Id(id)), name, "{id}");
    }
    assert_eq!(names.name(SafetyType::None), "none");
    assert_eq!(names.name(SafetyType::Other), "other");
}

#[test]
fn names_are_added_and_replaced_one_by_one() {
    let mut names = SafetyNames::default();
    names.set(15, "signature".to_owned());
    names.set(3, "text message".to_owned());
    assert_eq!(names.name(SafetyType::Id(15)), "signature");
    assert_eq!(names.name(SafetyType::Id(3)), "text message");
    assert_eq!(names.name(SafetyType::Id(4)), "password");
}

#[test]
fn ids_as_label_values() {
    let shown = [SafetyType::Id(-15), SafetyType::None, SafetyType::Other];
    assert_eq!(
        shown.map(|label| label.to_string()),
        ["-15", "none", "other"]
    );
}
