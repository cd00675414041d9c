//! What the tests, benchmarks and tools of this repository use besides the facade.
//!
//! Unstable: items come and go without notice. Nothing else may depend on them.

/// From `cli`.
pub mod cli {
    pub use crate::cli::command;

    /// From `cli::backtest`.
    pub mod backtest {
        pub use crate::cli::backtest::{Backtest, Format, Source, Span};
    }

    /// From `cli::outbox`.
    pub mod outbox {
        pub use crate::cli::outbox::Outbox;
    }

    /// From `cli::test`.
    pub mod test {
        pub use crate::cli::test::{Format, Report, Test};
    }
}

/// From `config`.
pub mod config {
    pub use crate::config::{Config, Problems, RuleReader, read_settings, read_web};

    /// From `config::exposed`.
    pub mod exposed {
        pub use crate::config::exposed::Exposed;
    }

    /// From `config::packs`.
    pub mod packs {
        pub use crate::config::packs::{NAMES, recognise};
    }

    /// From `config::relay`.
    pub mod relay {
        pub use crate::config::relay::read_relay;
    }

    /// From `config::schema`.
    pub mod schema {
        pub use crate::config::schema::{config, relay, rules};
    }

    /// From `config::settings`.
    pub mod settings {
        pub use crate::config::settings::{Settings, Target};
    }
}

/// From `history`.
pub mod history {
    pub use crate::history::{
        Error, Limits, Points, Prometheus, Range, Recording, Steps, parse_time,
    };
}

/// From `notify`.
pub mod notify {
    pub use crate::notify::{Alertmanagers, Error, LogNotifier, RetrainingNotifier};

    /// From `notify::alertmanager`.
    pub mod alertmanager {
        pub use crate::notify::alertmanager::{Discovery, PeerSettings, Runner, Settings, Stats};
    }

    /// From `notify::relabel`.
    pub mod relabel {
        pub use crate::notify::relabel::{Action, Relabel, Spec};
    }

    /// From `notify::retrain`.
    pub mod retrain {
        pub use crate::notify::retrain::{
            BodyTemplate, Clock, Deliveries, Entry, Format, IDEMPOTENCY_KEY, Outbox, Phase,
            Receiver, Runner, Webhook,
        };
    }
}

/// From `publish`.
pub mod publish {
    pub use crate::publish::{
        Alert, Definition, Exposition, Group, Peer, Receiver, Rule, RuleKind, STATES, Server,
        Shared, Signal, Snapshot, Target,
    };

    /// From `publish::catalogue`.
    pub mod catalogue {
        pub use crate::publish::catalogue::all;
    }
}

/// From `reference`.
pub mod reference {
    pub use crate::reference::{INDEX, PAGES, index};
}

/// From `relay`.
pub mod relay {
    pub use crate::relay::notified;
}

/// From `runtime`.
pub mod runtime {

    /// From `runtime::clock`.
    pub mod clock {
        pub use crate::runtime::clock::now;
    }

    /// From `runtime::dns`.
    pub mod dns {
        pub use crate::runtime::dns::{Question, Record, Resolve, Resolver};
    }

    /// From `runtime::http`.
    pub mod http {
        pub use crate::runtime::http::{
            Auth, Client, Error, Header, Kind, OAuth2, Proxy, Response, Secret, Settings, Tls,
            TlsVersion, inflate,
        };
    }
}

/// From `scrape`.
pub mod scrape {
    pub use crate::scrape::{Error, HttpProducer, MetricProducer, Target, format_of};
}

/// From `service`.
pub mod service {
    pub use crate::service::{fuzz_params, published};
}

/// From `state`.
pub mod state {
    pub use crate::state::{Batch, Error, Kind, Opened, Store, StoreOutbox};
}
