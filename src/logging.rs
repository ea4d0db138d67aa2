//! The log: one line an event on standard error, as logfmt or JSON.

use tracing::level_filters::LevelFilter;
use tracing::{Level, error};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{Log, LogFormat};

/// Starts the log of this process.
///
/// Libraries are heard from warnings on: what they say at lower levels may quote a request.
///
/// # Errors
///
/// Where there is one already.
pub fn start(log: Log) -> Result<(), TryInitError> {
    let levels = Targets::new()
        .with_default(LevelFilter::from_level(log.level.min(Level::WARN)))
        .with_target(env!("CARGO_CRATE_NAME"), log.level);
    let registry = tracing_subscriber::registry();
    match log.format {
        LogFormat::Logfmt => {
            let layer = tracing_logfmt::builder()
                .with_target(false)
                .with_timestamp(true)
                .layer()
                .with_writer(std::io::stderr);
            registry.with(layer.with_filter(levels)).try_init()?;
        }
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_target(false)
                .with_current_span(false)
                .with_span_list(false)
                .with_writer(std::io::stderr);
            registry.with(layer.with_filter(levels)).try_init()?;
        }
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        // Without the panic's text: it could hold whatever the code was handling.
        error!(
            location,
            "this program panicked: a mistake in it, please report this line"
        );
    }));
    Ok(())
}
