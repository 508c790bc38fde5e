use domain::InvalidValue;
use domain::policy::parse_network;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

/// An IP address or a network in CIDR, in the form in which bans compare it: a single address is a network of
/// 32 or 128 bits.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(example = &"203.0.113.0/24")]
pub(super) struct Network(#[schemars(with = "String")] pub(super) IpNet);

impl TryFrom<String> for Network {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        parse_network(&text).map(Self)
    }
}
