//! The exposition formats: families, labels and numbers as text.
//!
//! Independent of the metrics. The formats are
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> and OpenMetrics 1.0.

use std::fmt::{self, Display, Write};
use std::io;

/// Characters of a label value from outside; the rest is cut off.
const MAX_LABEL_CHARS: usize = 128;
/// Endings of family names that OpenMetrics states as the unit.
const UNITS: [&str; 3] = ["milliseconds", "seconds", "bytes"];
/// Text that is collected before it is passed on.
const CHUNK_BYTES: usize = 32 << 10;
/// Whole numbers below this are exact in a double and are written without an exponent.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A format of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text004,
    /// OpenMetrics 1.0.
    OpenMetrics100,
}

impl Format {
    /// Value of the header `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text004 => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics100 => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricType {
    Gauge,
    Counter,
    Histogram,
}

/// A family's metadata. A counter's name ends in `_total`.
#[derive(Clone, Copy, Debug)]
pub(super) struct FamilyMeta<'a> {
    pub(super) name: &'a str,
    pub(super) kind: MetricType,
    pub(super) help: &'a str,
}

/// A sample's number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Integer(u64),
    Float(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Integer(value) => value.fmt(f),
            Self::Float(f64::INFINITY) => f.write_str("+Inf"),
            Self::Float(f64::NEG_INFINITY) => f.write_str("-Inf"),
            // Adding 0 turns a negative zero into the usual one.
            Self::Float(value) if value.abs() < MAX_EXACT => (value + 0.0).fmt(f),
            Self::Float(value) => fmt::LowerExp::fmt(&value, f),
        }
    }
}

/// Writes a page, which is passed on in chunks: that of many accounts is large.
pub(super) struct ExpositionWriter<'a> {
    to: &'a mut dyn io::Write,
    text: String,
    format: Format,
    /// The first error. Nothing is passed on after it.
    result: io::Result<()>,
}

impl<'a> ExpositionWriter<'a> {
    pub(super) fn new(format: Format, to: &'a mut dyn io::Write) -> Self {
        Self {
            to,
            text: String::new(),
            format,
            result: Ok(()),
        }
    }

    /// Starts a family; without a sample nothing is written.
    pub(super) fn family<'b>(&'b mut self, meta: FamilyMeta<'b>) -> FamilyWriter<'b, 'a> {
        FamilyWriter {
            page: self,
            meta,
            started: false,
        }
    }

    /// Ends the page as its format requires.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.format == Format::OpenMetrics100 {
            self.text.push_str("# EOF\n");
        }
        self.flush();
        self.result
    }

    fn flush(&mut self) {
        if self.result.is_ok() {
            self.result = self.to.write_all(self.text.as_bytes());
        }
        self.text.clear();
    }

    /// HELP texts are constants without characters to escape.
    fn header(&mut self, meta: FamilyMeta<'_>) {
        let kind = match meta.kind {
            MetricType::Gauge => "gauge",
            MetricType::Counter => "counter",
            MetricType::Histogram => "histogram",
        };
        let (name, unit) = match self.format {
            Format::Text004 => (meta.name, None),
            Format::OpenMetrics100 => {
                let name = meta.name.strip_suffix("_total").unwrap_or(meta.name);
                let (_, last) = name.rsplit_once('_').unwrap_or_default();
                (name, UNITS.into_iter().find(|unit| *unit == last))
            }
        };
        let help = meta.help;
        write(
            &mut self.text,
            &format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
        );
        if let Some(unit) = unit {
            write(&mut self.text, &format_args!("# UNIT {name} {unit}\n"));
        }
    }
}

/// Writes the samples of one family.
pub(super) struct FamilyWriter<'a, 'page> {
    page: &'a mut ExpositionWriter<'page>,
    meta: FamilyMeta<'a>,
    started: bool,
}

impl FamilyWriter<'_, '_> {
    /// Writes `name[suffix]{common,labels} value`. `common` are labels as [`label`] writes them.
    pub(super) fn sample(
        &mut self,
        suffix: &str,
        common: &str,
        labels: &[(&str, &dyn Display)],
        value: Value,
    ) {
        if !self.started {
            self.page.header(self.meta);
            self.started = true;
        }
        let text = &mut self.page.text;
        text.push_str(self.meta.name);
        text.push_str(suffix);
        let mut separator = '{';
        if !common.is_empty() {
            text.push(separator);
            text.push_str(common);
            separator = ',';
        }
        for (name, value) in labels {
            text.push(separator);
            write_label(text, name, value, MAX_LABEL_CHARS);
            separator = ',';
        }
        if separator == ',' {
            text.push('}');
        }
        text.push(' ');
        write(text, &value);
        text.push('\n');
        if text.len() >= CHUNK_BYTES {
            self.page.flush();
        }
    }

    /// Writes one bucket of a histogram: how many were at most `bound`.
    pub(super) fn bucket(&mut self, labels: &[(&str, &dyn Display)], bound: f64, count: u64) {
        let bound = match self.page.format {
            // The canonical number of OpenMetrics has a point.
            Format::OpenMetrics100 if bound.is_finite() => format!("{bound:?}"),
            Format::OpenMetrics100 | Format::Text004 => Value::Float(bound).to_string(),
        };
        let mut labels = labels.to_vec();
        labels.push(("le", &bound));
        self.sample("_bucket", "", &labels, count.into());
    }
}

/// `name="value"` with the whole value: cut, two values could become one.
pub(super) fn label(name: &str, value: &dyn Display) -> String {
    let mut text = String::new();
    write_label(&mut text, name, value, usize::MAX);
    text
}

/// Writes `name="value"`, escaped and cut at `max_chars` characters.
fn write_label(text: &mut String, name: &str, value: &dyn Display, max_chars: usize) {
    text.push_str(name);
    text.push_str("=\"");
    let left = max_chars;
    write(&mut Escaped { text, left }, value);
    text.push('"');
}

/// Writing to a `String` cannot fail.
fn write(to: &mut impl Write, value: &dyn Display) {
    let _infallible = write!(to, "{value}");
}

struct Escaped<'a> {
    text: &'a mut String,
    left: usize,
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if part.len() <= self.left && !part.contains(['\\', '"', '\n']) {
            self.left -= part.chars().count();
            self.text.push_str(part);
            return Ok(());
        }
        for character in part.chars().take(self.left) {
            self.left -= 1;
            match character {
                '\\' => self.text.push_str("\\\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                other => self.text.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
