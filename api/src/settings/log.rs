use clap::Args;

/// What to log.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// What to log, e.g. `info` or `info,api=debug`; to standard error.
    #[arg(id = "log", long = "log", value_name = "LOG", env = "GOMALL_LOG", default_value = "info", value_parser = filter)]
    pub filter: String,
}

fn filter(text: &str) -> Result<String, String> {
    let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
    parsed.map(|_| text.to_owned()).map_err(|error| error.to_string())
}
