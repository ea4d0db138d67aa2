//! The open count since the start as a small drawing, and the same in words.
//!
//! A step is as high as the most sessions that were open in it, and filled as high as the fewest.
//! What is not known is a gap above a mark of its own, so that it cannot be taken for none open.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use crate::clock::Timestamps;
use crate::status::{Course, Stretch};
use crate::web::html::Span;

/// The drawing's own height; it is stretched to the space there is.
const HEIGHT: u32 = 20;
/// Room for the line's half width above the highest count.
const TOP: u32 = 1;
/// Where 0 is: below it lie the marks of what is not known.
const GROUND: u32 = 16;
/// The middle of those marks.
const MARKS: u32 = 19;

pub(super) struct Sparkline<'a> {
    pub(super) course: &'a Course,
    pub(super) now: Timestamps,
}

impl Display for Sparkline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stretches = &self.course.stretches;
        if stretches.is_empty() {
            return Ok(());
        }
        let ceiling = stretches.iter().filter_map(|s| s.open).map(|(_, max)| max);
        let scale = Scale(ceiling.max().unwrap_or_default());
        write!(
            f,
            "<div class=\"history\"><svg class=\"spark\" viewBox=\"0 0 {} {HEIGHT}\" \
             preserveAspectRatio=\"none\" aria-hidden=\"true\">",
            stretches.len()
        )?;
        area(f, "most", stretches, |(_, max)| scale.y(max))?;
        area(f, "least", stretches, |(min, _)| scale.y(min))?;
        f.write_str("<path class=\"line\" d=\"")?;
        for run in runs(stretches, |stretch| {
            stretch.open.map(|(_, max)| scale.y(max))
        }) {
            // Beside another piece the line goes on; after a gap it begins anew.
            if run.joined {
                write!(f, "V{}", run.value)?;
            } else {
                write!(f, "M{} {}", run.from, run.value)?;
            }
            write!(f, "H{}", run.to)?;
        }
        f.write_str("\"/>")?;
        f.write_str("<path class=\"gap\" d=\"")?;
        for run in runs(stretches, |s| (!s.unknown.is_zero()).then_some(())) {
            write!(f, "M{} {MARKS}H{}", run.from, run.to)?;
        }
        writeln!(f, "\"/></svg>\n<p class=\"note\">{}</p></div>", Words(self))
    }
}

/// Filled from 0 up to a height, a piece for each stretch of time that is known.
fn area(
    f: &mut fmt::Formatter<'_>,
    class: &str,
    stretches: &[Stretch],
    height: impl Fn((u32, u32)) -> Tenths,
) -> fmt::Result {
    write!(f, "<path class=\"{class}\" d=\"")?;
    for run in runs(stretches, |stretch| stretch.open.map(&height)) {
        write!(
            f,
            "M{} {GROUND}V{}H{}V{GROUND}z",
            run.from, run.value, run.to
        )?;
    }
    f.write_str("\"/>")
}

/// Neighbours of one value, as one piece.
struct Run<T> {
    from: usize,
    to: usize,
    value: T,
    /// Whether another piece ends where this one begins.
    joined: bool,
}

fn runs<T: PartialEq>(stretches: &[Stretch], value: impl Fn(&Stretch) -> Option<T>) -> Vec<Run<T>> {
    let mut runs: Vec<Run<T>> = Vec::new();
    for (from, stretch) in stretches.iter().enumerate() {
        let Some(value) = value(stretch) else {
            continue;
        };
        let before = runs.last_mut().filter(|before| before.to == from);
        let joined = before.is_some();
        match before {
            Some(before) if before.value == value => before.to += 1,
            _ => runs.push(Run {
                from,
                to: from + 1,
                value,
                joined,
            }),
        }
    }
    runs
}

/// A height in tenths of the drawing's unit.
#[derive(Clone, Copy, PartialEq)]
struct Tenths(u64);

impl Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 / 10)?;
        match self.0 % 10 {
            0 => Ok(()),
            rest => write!(f, ".{rest}"),
        }
    }
}

/// Up to this count the drawing reaches.
struct Scale(u32);

impl Scale {
    fn y(&self, open: u32) -> Tenths {
        let full = u64::from(GROUND - TOP) * 10;
        let height = full * u64::from(open) / u64::from(self.0.max(1));
        Tenths(u64::from(GROUND) * 10 - height)
    }
}

/// What the drawing shows.
struct Words<'a>(&'a Sparkline<'a>);

impl Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sparkline { course, now } = self.0;
        let stretches = &course.stretches;
        let ago = Span::from_ms(now.wall_ms - course.start_ms);
        write!(f, "In {ago} since the start: ")?;
        let known = stretches.iter().filter_map(|stretch| stretch.open);
        let range = known.reduce(|(least, most), (min, max)| (least.min(min), most.max(max)));
        match range {
            None => return f.write_str("not known at any time."),
            Some((least, most)) if least == most => write!(f, "{most} open all the time")?,
            Some((least, most)) => write!(f, "between {least} and {most} open")?,
        }
        let unknown: Duration = stretches.iter().map(|stretch| stretch.unknown).sum();
        if unknown >= Duration::from_secs(1) {
            let span = Span::from_ms(unknown.as_secs_f64() * 1000.0);
            write!(f, ", not known for {span}")?;
        }
        f.write_char('.')
    }
}
