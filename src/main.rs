//! Arguments, the log's start, signals and exit codes; the library does the rest.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};
use tradernet_exporter::cli::{self, CheckOptions, Cli, Command, ReportFormat};
use tradernet_exporter::config::{Config, Flags, WebSettings};
use tradernet_exporter::demo::Demo;
use tradernet_exporter::text::printable;
use tradernet_exporter::tradernet::prepare_lookups;
use tradernet_exporter::{
    Listeners, Signals, check, hash_password, healthcheck, logging, run, threads,
};

const FAILED: u8 = 1;
const INVALID_CONFIGURATION: u8 = 2;

/// A blocked reader of the log must not delay the exit.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_millis(200);
const MAX_WORKER_THREADS: usize = 4;
/// Of each runtime: for rendering, passwords and files, each of which may hang.
const MAX_BLOCKING_THREADS: usize = 128;

/// Why the program ends early: the exit code, and the message for standard error.
struct ExitError(u8, String);

impl<E: Display> From<E> for ExitError {
    fn from(error: E) -> Self {
        Self(FAILED, error.to_string())
    }
}

fn main() -> ExitCode {
    let cli = cli::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    set_limits();
    // Until the log is started, which has a hook of its own: where no thread can be started, tokio
    // panics and waits for those that it has started.
    let print_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        match panic.payload_as_str() {
            Some(text) if text.contains("spawn") => print_error(&format!(
                "cannot start a thread: {text}; raise the limit of processes: ulimit -u, TasksMax= of \
                 systemd, the pids limit of a container"
            )),
            _ => print_panic(panic),
        }
        std::process::exit(FAILED.into());
    }));
    // A panic has written its message already.
    let result = std::panic::catch_unwind(|| run_to_end(&cli));
    logging::flush(LOG_FLUSH_TIMEOUT);
    match result {
        Ok(Ok(code)) => code,
        Ok(Err(ExitError(code, message))) => {
            print_error(&message);
            ExitCode::from(code)
        }
        Err(_) => ExitCode::from(FAILED),
    }
}

fn run_to_end(cli: &Cli) -> Result<ExitCode, ExitError> {
    let serves = matches!(cli.command, None | Some(Command::Demo));
    let runtime = runtime()?;
    // Threads of their own for polls: whatever a server sends, it does not delay a scrape.
    let polling = serves.then(self::runtime).transpose()?;
    if serves || matches!(cli.command, Some(Command::Check(_))) {
        prepare_lookups()?;
    }
    let handle = polling.as_ref().unwrap_or(&runtime).handle();
    let result = runtime.block_on(run_command(cli, handle));
    // Without waiting for threads: a file may hang in one.
    for runtime in polling.into_iter().chain([runtime]) {
        runtime.shutdown_background();
    }
    result
}

fn runtime() -> std::io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = Builder::new_multi_thread();
    // Tasks wait for the network: a few threads serve any number of accounts.
    builder.worker_threads(cores.min(MAX_WORKER_THREADS));
    threads::runtime(builder.enable_all(), MAX_BLOCKING_THREADS)
}

/// As many file descriptors as allowed, since every connection is one, and the usual soft limit of 1024
/// is for programs that use `select`; no core dump, which would hold the secrets.
fn set_limits() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = |to| Rlimit {
        current: to,
        maximum: to,
    };
    let files = getrlimit(Resource::Nofile).maximum;
    // A program may always lower its limits, and raise the soft one to the hard one.
    let _ = setrlimit(Resource::Nofile, limit(files));
    let _ = setrlimit(Resource::Core, limit(Some(0)));
    // The limit does not bind a kernel that pipes core dumps to a program.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

async fn run_command(cli: &Cli, polling: &Handle) -> Result<ExitCode, ExitError> {
    match cli.command {
        None => serve(cli, polling).await,
        Some(Command::Demo) => demo(cli, polling).await,
        Some(Command::Check(options)) => check(cli, options).await,
        Some(Command::Healthcheck) => healthcheck(cli).await,
        Some(Command::Completions { shell }) => print(cli::completions(shell)),
        Some(Command::Man) => print(cli::manual_page()?),
        Some(Command::HashPassword) => print(hash_password::run()? + "\n"),
    }
}

async fn serve(cli: &Cli, polling: &Handle) -> Result<ExitCode, ExitError> {
    let config = Config::load(&cli.flags, variables()).map_err(config_error)?;
    start_log(&config)?;
    serve_with(config, polling).await
}

async fn demo(cli: &Cli, polling: &Handle) -> Result<ExitCode, ExitError> {
    let demo = Demo::prepare().await?;
    let config = Config::load_with(&cli.flags, variables(), Some(&demo.accounts()?));
    let config = config.map_err(config_error)?;
    start_log(&config)?;
    tokio::spawn(demo.run());
    serve_with(config, polling).await
}

async fn serve_with(config: Config, polling: &Handle) -> Result<ExitCode, ExitError> {
    let signals = signals()?;
    let listeners = Listeners::bind(&config.web).await?;
    run(config, listeners, signals, polling)
        .await
        .map_err(config_error)?;
    Ok(ExitCode::SUCCESS)
}

async fn check(cli: &Cli, options: CheckOptions) -> Result<ExitCode, ExitError> {
    let config = Config::load(&cli.flags, variables()).map_err(config_error)?;
    for warning in warnings(&config) {
        print_error(&format!("warning: {}", printable(warning)));
    }
    if options.offline {
        let accounts = config.accounts.len();
        let text = match options.format {
            ReportFormat::Text => format!("the configuration is valid; accounts: {accounts}\n"),
            ReportFormat::Json => format!("{{\"valid\": true, \"accounts\": {accounts}}}\n"),
        };
        return print(text);
    }
    let report = check::run(&config).await.map_err(config_error)?;
    print(match options.format {
        ReportFormat::Text => report.text()?,
        ReportFormat::Json => report.json()?.into_bytes(),
    })?;
    Ok(if report.is_ok(options.strict) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

async fn healthcheck(cli: &Cli) -> Result<ExitCode, ExitError> {
    let container = container_flags().filter(|_| !cli.flags.has_listener());
    let flags = container.as_ref().unwrap_or(&cli.flags);
    let settings = WebSettings::load(flags, variables())?;
    healthcheck::probe(&settings).await?;
    Ok(ExitCode::SUCCESS)
}

/// The flags of process 1 if it is this program, as in a container: an image's health check has none.
fn container_flags() -> Option<Flags> {
    let command = std::fs::read("/proc/1/cmdline").ok()?;
    let arguments = command.strip_suffix(b"\0")?.split(|byte| *byte == 0);
    let arguments = Vec::from_iter(arguments.map(OsStr::from_bytes));
    let program = Path::new(arguments.first()?).file_name()?;
    let is_exporter = program == env!("CARGO_PKG_NAME");
    let cli = is_exporter.then(|| cli::parse(arguments))?;
    Some(cli.ok()?.flags)
}

#[expect(clippy::disallowed_methods, reason = "the one place that may")]
fn variables() -> std::env::VarsOs {
    std::env::vars_os()
}

fn start_log(config: &Config) -> Result<(), ExitError> {
    logging::start(config.log)?;
    let (version, revision) = (env!("CARGO_PKG_VERSION"), env!("BUILD_REVISION"));
    let file = config.accounts_file.as_ref();
    let config_file = file.map(|file| file.path.display().to_string());
    let (accounts, shard) = (config.accounts.len(), config.shard);
    info!(version, revision, config_file, accounts, %shard, "starting");
    for warning in warnings(config) {
        warn!(warning, "doubtful setting");
    }
    Ok(())
}

fn warnings(config: &Config) -> impl Iterator<Item = &String> {
    let web_config = config.web_config.iter().map(|(_, config)| config);
    let web_warnings = web_config.flat_map(|config| &config.warnings);
    config.warnings.iter().chain(web_warnings)
}

/// SIGTERM and SIGINT shut down, a second one exits at once; SIGHUP reloads; SIGUSR1 switches the
/// log level `debug` on and off.
fn signals() -> std::io::Result<Signals> {
    let (shutdown, shut_down) = watch::channel(false);
    let (hangup, hung_up) = mpsc::channel(1);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut debug = signal(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        loop {
            let (signal, number) = tokio::select! {
                _ = terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
                _ = interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
                _ = debug.recv() => {
                    logging::toggle_debug();
                    continue;
                }
                _ = hang_up.recv() => {
                    // A reload that is waiting already covers this one.
                    let _ = hangup.try_send(());
                    continue;
                }
            };
            info!(signal, "shutting down");
            if shutdown.send_replace(true) {
                logging::flush(LOG_FLUSH_TIMEOUT);
                std::process::exit(128 + number);
            }
        }
    });
    Ok(Signals {
        shutdown: shut_down,
        hangup: hung_up,
    })
}

fn config_error(errors: impl Display) -> ExitError {
    ExitError(INVALID_CONFIGURATION, errors.to_string())
}

/// Writes an error at start or of a command: the log is not running then. A closed stderr does not
/// change the exit code.
fn print_error(message: &str) {
    let mut to = std::io::stderr().lock();
    for line in message.lines() {
        let _ = writeln!(to, "tradernet-exporter: {line}");
    }
}

/// Writes a command's output. A reader that closes its end early is not a failure.
fn print(text: impl AsRef<[u8]>) -> Result<ExitCode, ExitError> {
    let mut to = std::io::stdout().lock();
    match to.write_all(text.as_ref()).and_then(|()| to.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write the report: {error}").into())
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
