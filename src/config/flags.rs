//! The flags; each overrides its variable.

use clap::{Arg, ArgAction, ArgMatches};

use super::keys::{PROCESS_KEYS, variable};
use super::settings::SettingsByKey;
use super::yaml::{Node, Value};

/// Flags as given: each with its value, a switch with `true`.
#[derive(Clone, Debug, Default)]
pub struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// From names without dashes, such as `log.level`, and values.
    pub fn new(flags: &[(&'static str, &str)]) -> Self {
        let flags = flags.iter().map(|(flag, text)| (*flag, (*text).to_owned()));
        Self(flags.collect())
    }

    /// For the command line, with the variables in the help.
    pub(crate) fn arguments() -> impl Iterator<Item = Arg> {
        let flags = PROCESS_KEYS.iter().filter(|key| !key.flag[0].is_empty());
        flags.map(|key| {
            let [flag, value] = key.flag;
            let action = match value {
                "" => ArgAction::SetTrue,
                _ if key.name == "web_listen_address" => ArgAction::Append,
                _ => ArgAction::Set,
            };
            let help = Vec::from_iter(key.help.lines().map(str::trim)).join(" ");
            let arg = Arg::new(flag).long(flag).action(action).global(true);
            let arg = arg.help(format!("{help}\n[env: {}]", variable(key.name)));
            match value {
                "" => arg,
                value => arg.value_name(value),
            }
        })
    }

    pub(crate) fn from_matches(matches: &ArgMatches) -> Self {
        let flags = PROCESS_KEYS
            .iter()
            .map(|key| key.flag)
            .filter_map(|[flag, value]| {
                let texts = match value {
                    _ if flag.is_empty() => return None,
                    "" => return matches.get_flag(flag).then(|| (flag, "true".to_owned())),
                    _ => matches.get_many::<String>(flag)?,
                };
                Some((flag, Vec::from_iter(texts.map(String::as_str)).join(",")))
            });
        Self(flags.collect())
    }

    /// Whether a listener is named.
    pub fn has_listener(&self) -> bool {
        let mut flags = self.0.iter();
        flags.any(|(flag, _)| flag.ends_with("listen-address"))
    }

    /// Sets the keys whose flags are given.
    pub(super) fn override_variables(&self, settings: &mut SettingsByKey) {
        for (flag, text) in &self.0 {
            if let Some(key) = PROCESS_KEYS.iter().find(|key| key.flag[0] == *flag) {
                let value = Value::Text(text.clone().into());
                settings.insert(key.name, Node::new(0, format!("--{flag}"), value));
            }
        }
    }
}
