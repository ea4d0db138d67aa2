//! Names of safety types.

use super::*;

#[test]
fn vendor_names_are_built_in() {
    let names = SafetyNames::default();
    for (id, name) in [
        (0, "no_key"),
        (1, "unknown"),
        (2, "token"),
        (3, "sms"),
        (4, "password"),
        (10, "unknown"),
        (14, "api_key"),
        (19, "face"),
        (20, "unknown"),
        (-1, "unknown"),
    ] {
        assert_eq!(names.name(SafetyType::Id(id)), name, "{id}");
    }
    assert_eq!(names.name(SafetyType::None), "none");
    assert_eq!(names.name(SafetyType::Other), "other");
}

#[test]
fn configured_names_add_and_override() {
    let mut names = SafetyNames::default();
    names.extend([(20, "signature".to_owned())]);
    names.extend([(3, "text message".to_owned())]);
    assert_eq!(names.name(SafetyType::Id(20)), "signature");
    assert_eq!(names.name(SafetyType::Id(3)), "text message");
    assert_eq!(names.name(SafetyType::Id(4)), "password");
    assert_eq!(names.ids("text message"), [3]);
    assert!(names.ids("sms").is_empty());
}
