//! The only DNS resolver: the addresses of a name and their time to live.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::time::timeout;

/// Time limit of one resolution, including every attempt and every name of the search list.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(15);
/// Time limit of one packet.
const PACKET_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum number of targets of an SRV record set that are resolved.
const MAX_SRV_TARGETS: usize = 1000;

/// Shortest time between two look-ups of a name, unless the configured refresh is shorter.
const MIN_REFRESH: Duration = Duration::from_secs(5);

/// The delay until the next look-up: the time to live of the records, at most `refresh` and at
/// least 5 s.
#[must_use]
pub(crate) fn refresh_delay(ttl: Option<Duration>, refresh: Duration) -> Duration {
    ttl.unwrap_or(refresh)
        .min(refresh)
        .max(MIN_REFRESH.min(refresh))
}

/// The type of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Record {
    /// A and AAAA.
    #[default]
    Address,
    /// IPv4 addresses only.
    A,
    /// IPv6 addresses only.
    Aaaa,
    /// Services: names with ports. Each name is resolved to its A and AAAA records.
    Srv,
}

/// A name to resolve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// The name. Without a final dot, the search list of `/etc/resolv.conf` applies.
    pub host: String,
    /// The port of every address; SRV records have their own.
    pub port: u16,
    /// The type of the records.
    pub record: Record,
    /// The server to query instead of those in `/etc/resolv.conf`.
    pub server: Option<SocketAddr>,
}

impl fmt::Display for Question {
    /// `fraud-headless.ml.svc:8000`, or the bare name for SRV.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record {
            Record::Srv => f.write_str(&self.host),
            Record::Address | Record::A | Record::Aaaa => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    /// Sorted and unique. Empty if the name does not exist or has no addresses, like a Kubernetes
    /// Service without ready pods.
    pub addresses: Vec<SocketAddr>,
    /// The shortest time to live of the records; `None` without records.
    pub ttl: Option<Duration>,
}

/// A failed resolution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot resolve {name}: {reason}")]
pub struct Error {
    /// The name, with its port.
    pub name: String,
    /// What happened.
    pub reason: String,
}

/// Resolves names to addresses.
pub trait Resolve: Send + Sync + fmt::Debug {
    /// The addresses of a name.
    ///
    /// # Errors
    /// When no server responds. A name without addresses is not an error.
    fn resolve<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Resolved, Error>>;
}

/// Queries the servers of `/etc/resolv.conf`, which is read for every question, and `/etc/hosts`.
/// Does not cache: the caller decides when to resolve again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resolver;

impl Resolve for Resolver {
    fn resolve<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Resolved, Error>> {
        Box::pin(async move {
            let resolved = timeout(RESOLVE_TIMEOUT, resolve(question)).await;
            resolved
                .unwrap_or_else(|_| {
                    let seconds = RESOLVE_TIMEOUT.as_secs();
                    Err(format!("no response within {seconds} s"))
                })
                .map_err(|reason| Error {
                    name: question.to_string(),
                    reason,
                })
        })
    }
}

/// The records of a name.
#[derive(Debug, Default)]
struct Records {
    data: Vec<RData>,
    ttl: Option<Duration>,
}

impl Records {
    /// Lowers the time to live.
    fn limit_ttl(&mut self, ttl: Option<Duration>) {
        self.ttl = match (self.ttl, ttl) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

async fn resolve(question: &Question) -> Result<Resolved, String> {
    if let Ok(ip) = question.host.parse::<IpAddr>() {
        return Ok(Resolved {
            addresses: vec![SocketAddr::new(ip, question.port)],
            ttl: None,
        });
    }
    let (config, options) = configuration(question.server)?;
    let names = candidates(&question.host, config.search(), options.ndots)?;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    let resolver = builder.build().map_err(|error| error.to_string())?;
    let types: &[RecordType] = match question.record {
        Record::Address => &[RecordType::A, RecordType::AAAA],
        Record::A => &[RecordType::A],
        Record::Aaaa => &[RecordType::AAAA],
        Record::Srv => &[RecordType::SRV],
    };
    let records = search(&resolver, &names, types).await?;
    if question.record == Record::Srv {
        return services(&resolver, records).await;
    }
    let addresses: BTreeSet<SocketAddr> = records
        .data
        .iter()
        .filter_map(RData::ip_addr)
        .map(|ip| SocketAddr::new(ip, question.port))
        .collect();
    Ok(Resolved {
        addresses: addresses.into_iter().collect(),
        ttl: records.ttl,
    })
}

fn configuration(server: Option<SocketAddr>) -> Result<(ResolverConfig, ResolverOpts), String> {
    let system = read_system_conf();
    let (mut config, mut options) = match (system, server) {
        (Ok(system), _) => system,
        // Without the file there is no search list, but the configured server is enough.
        (Err(_), Some(_)) => (
            ResolverConfig::from_parts(None, Vec::new(), Vec::new()),
            ResolverOpts::default(),
        ),
        (Err(error), None) => return Err(format!("/etc/resolv.conf: {error}")),
    };
    if let Some(server) = server {
        let connections =
            [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
        let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
        config = ResolverConfig::from_parts(None, config.search().to_vec(), vec![server]);
    }
    options.timeout = options.timeout.min(PACKET_TIMEOUT);
    options.cache_size = 0;
    Ok((config, options))
}

/// The names to try in order, as other resolvers do: a name with at least `ndots` dots is tried
/// unchanged first, any other name last.
fn candidates(host: &str, search: &[Name], ndots: usize) -> Result<Vec<Name>, String> {
    let mut name = Name::from_utf8(host).map_err(|error| format!("not a DNS name: {error}"))?;
    if name.is_fqdn() {
        return Ok(vec![name]);
    }
    let dots = usize::from(name.num_labels()).saturating_sub(1);
    let mut names: Vec<Name> = search
        .iter()
        .filter_map(|domain| name.clone().append_domain(domain).ok())
        .collect();
    name.set_fqdn(true);
    let place = if dots >= ndots { 0 } else { names.len() };
    names.insert(place, name);
    for name in &mut names {
        name.set_fqdn(true);
    }
    Ok(names)
}

/// The records of the first name that has any; none if no name has any.
async fn search(
    resolver: &TokioResolver,
    names: &[Name],
    types: &[RecordType],
) -> Result<Records, String> {
    let mut failure = None;
    for name in names {
        match look_up(resolver, name, types).await {
            Ok(records) if !records.data.is_empty() => return Ok(records),
            Ok(_) => {}
            Err(error) => failure = Some(format!("{name}: {error}")),
        }
    }
    failure.map_or_else(|| Ok(Records::default()), Err)
}

/// The records of one name. A type that fails is ignored if another type has records.
async fn look_up(
    resolver: &TokioResolver,
    name: &Name,
    types: &[RecordType],
) -> Result<Records, NetError> {
    let lookups = types
        .iter()
        .map(|kind| resolver.lookup(name.clone(), *kind));
    let mut records = Records::default();
    let mut failure = None;
    for result in join_all(lookups).await {
        match result {
            Ok(lookup) => {
                for record in lookup.answers() {
                    if types.contains(&record.record_type()) {
                        records.data.push(record.data.clone());
                    }
                    records.limit_ttl(Some(Duration::from_secs(u64::from(record.ttl))));
                }
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(_))) => {}
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if records.data.is_empty() => Err(error),
        _ => Ok(records),
    }
}

/// Every address of every service. A service whose name no longer exists is left out; a failed
/// look-up fails the whole.
async fn services(resolver: &TokioResolver, mut records: Records) -> Result<Resolved, String> {
    let mut services: Vec<(Name, u16)> = Vec::new();
    for record in &records.data {
        let RData::SRV(service) = record else {
            continue;
        };
        let service = (service.target.clone(), service.port);
        // The root name means that the service does not exist.
        if !service.0.is_root() && !services.contains(&service) && services.len() < MAX_SRV_TARGETS
        {
            services.push(service);
        }
    }
    let types = [RecordType::A, RecordType::AAAA];
    let lookups = services.iter().map(|(name, port)| {
        let mut name = name.clone();
        name.set_fqdn(true);
        async move { (look_up(resolver, &name, &types).await, name, *port) }
    });
    let mut addresses = BTreeSet::new();
    for (result, name, port) in join_all(lookups).await {
        let hosts = result.map_err(|error| format!("{name}: {error}"))?;
        records.limit_ttl(hosts.ttl);
        let ips = hosts.data.iter().filter_map(RData::ip_addr);
        addresses.extend(ips.map(|ip| SocketAddr::new(ip, port)));
    }
    Ok(Resolved {
        addresses: addresses.into_iter().collect(),
        ttl: records.ttl,
    })
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::Name;

    use super::candidates;

    #[test]
    fn a_short_name_tries_the_search_list_first_and_a_long_one_last() {
        let search = ["ml.svc.cluster.local", "svc.cluster.local"]
            .map(|domain| Name::from_ascii(domain).unwrap());
        let tried = |host, ndots| -> Vec<String> {
            let names = candidates(host, &search, ndots).unwrap();
            names.iter().map(Name::to_ascii).collect()
        };
        assert_eq!(
            tried("fraud.ml.svc", 5),
            [
                "fraud.ml.svc.ml.svc.cluster.local.",
                "fraud.ml.svc.svc.cluster.local.",
                "fraud.ml.svc."
            ]
        );
        assert_eq!(
            tried("fraud.example.org", 2),
            [
                "fraud.example.org.",
                "fraud.example.org.ml.svc.cluster.local.",
                "fraud.example.org.svc.cluster.local."
            ]
        );
        assert_eq!(
            tried("fraud.ml.svc.cluster.local.", 5),
            ["fraud.ml.svc.cluster.local."]
        );
        assert!(candidates("a..b", &search, 5).is_err());
    }
}
