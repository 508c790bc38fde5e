use clap::Args;
use domain::Currency;

/// What is sold.
#[derive(Debug, Clone, Args)]
pub struct CatalogueArgs {
    /// The shop's first currency, an ISO 4217 code: whose prices products are sorted by where a request names none; the same in all processes.
    #[arg(long, env = "GOMALL_CURRENCY", default_value = "USD", value_parser = Currency::parse)]
    pub currency: Currency,
}
