//! Arguments, log, signals, exit codes: nothing else.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tradernet_exporter::cli::{Cli, Command};
use tradernet_exporter::config::{Config, WebSettings};
use tradernet_exporter::demo::Demo;
use tradernet_exporter::{Listeners, Signals, check, healthcheck, logging, run};

const FAILED: u8 = 1;
const WRONG_CONFIGURATION: u8 = 2;

/// What ends the program early: the words for the person who started it, and the exit code.
struct Stop(u8, String);

fn main() -> ExitCode {
    let cli = Cli::parse();
    allow_many_files();
    let result = match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let result = runtime.block_on(act(&cli));
            // Without waiting for threads: name resolution may hang for half a minute in one.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(failed(error)),
    };
    match result {
        Ok(code) => code,
        Err(Stop(code, words)) => {
            say(&words);
            ExitCode::from(code)
        }
    }
}

/// Every stream is a file, and the usual soft limit of 1024 is for programs that use `select`.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If it may not be raised, what is there has to do.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

async fn act(cli: &Cli) -> Result<ExitCode, Stop> {
    match cli.command {
        None => serve(cli).await,
        Some(Command::Demo) => demo(cli).await,
        Some(Command::Check { offline }) => check(cli, offline).await,
        Some(Command::Healthcheck) => healthcheck(cli).await,
    }
}

async fn serve(cli: &Cli) -> Result<ExitCode, Stop> {
    let config = Config::load(&cli.flags(), variables()).map_err(wrong)?;
    start_log(&config)?;
    serve_with(config).await
}

async fn demo(cli: &Cli) -> Result<ExitCode, Stop> {
    let demo = Demo::prepare().await.map_err(failed)?;
    let config = Config::load_demo(&cli.flags(), variables(), demo.accounts()).map_err(wrong)?;
    start_log(&config)?;
    tokio::spawn(demo.play());
    serve_with(config).await
}

async fn serve_with(config: Config) -> Result<ExitCode, Stop> {
    let signals = signals().map_err(failed)?;
    let listeners = Listeners::bind(&config.web)
        .await
        .map_err(|(address, error)| {
            failed(format!(
                "cannot listen on {address}: {error}; choose another with --web.listen-address"
            ))
        })?;
    run(config, listeners, signals).await.map_err(wrong)?;
    Ok(ExitCode::SUCCESS)
}

async fn check(cli: &Cli, offline: bool) -> Result<ExitCode, Stop> {
    let config = Config::load(&cli.flags(), variables()).map_err(wrong)?;
    let findings = match offline {
        true => check::offline(&config),
        false => check::online(&config).await.map_err(wrong)?,
    };
    print(&findings.table)?;
    Ok(if findings.all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

async fn healthcheck(cli: &Cli) -> Result<ExitCode, Stop> {
    let settings = WebSettings::load(&cli.flags(), variables()).map_err(failed)?;
    healthcheck::ask(&settings).await.map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::disallowed_methods, reason = "the one place that may")]
fn variables() -> std::env::VarsOs {
    std::env::vars_os()
}

fn start_log(config: &Config) -> Result<(), Stop> {
    logging::start(config.log).map_err(failed)
}

/// SIGTERM and SIGINT end the program, the second of them at once; SIGHUP reloads.
fn signals() -> std::io::Result<Signals> {
    let (shutdown, shut_down) = watch::channel(false);
    let (hangup, hung_up) = mpsc::channel(1);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let code = tokio::select! {
                _ = terminate.recv() => 128 + SignalKind::terminate().as_raw_value(),
                _ = interrupt.recv() => 128 + SignalKind::interrupt().as_raw_value(),
                _ = hang_up.recv() => {
                    // One that is waiting already will see what this one is about.
                    let _ = hangup.try_send(());
                    continue;
                }
            };
            if shutdown.send_replace(true) {
                std::process::exit(code);
            }
        }
    });
    Ok(Signals {
        shutdown: shut_down,
        hangup: hung_up,
    })
}

fn wrong(problems: impl std::fmt::Display) -> Stop {
    Stop(WRONG_CONFIGURATION, problems.to_string())
}

fn failed(error: impl std::fmt::Display) -> Stop {
    Stop(FAILED, error.to_string())
}

/// There is no log yet, or it is not what was asked for. Where nobody can be told, the exit code is
/// what is left.
fn say(words: &str) {
    let mut to = std::io::stderr().lock();
    for line in words.lines() {
        let _ = writeln!(to, "tradernet-exporter: {line}");
    }
}

/// Writes what was asked for. A reader that has seen enough and hung up is no failure.
fn print(text: &str) -> Result<(), Stop> {
    let mut to = std::io::stdout().lock();
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(failed(format!("cannot write the table: {error}")))
        }
        _ => Ok(()),
    }
}
