//! The command line tool: parse, run, report, exit code.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::Cli::parse();
    let context = cli::Context::new(arguments.global);
    // Two rustls providers are linked (a dependency brings its own), so one is chosen here; it fails only if one was chosen already.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let kind = pipectl::error::Kind::Unexpected;
            let error = pipectl::error::Error::new(kind, "could not start the runtime").because(error);
            return cli::report(&error, &context);
        }
    };
    match runtime.block_on(cli::run(arguments.command, &context)) {
        Ok(code) => code,
        Err(error) => cli::report(&error, &context),
    }
}
