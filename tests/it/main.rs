//! Behaviour at the seams, in one binary.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is missing"
)]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

mod support;

mod alertmanager; // queues, retries, bisection, relabelling
mod api_shapes; // the API beside the real Prometheus; no secret in it
mod auto; // --rules=auto
mod backfill; // strategies that start warm from the real Prometheus
mod backtest; // the same past from every source
mod bad_input; // what the binary says of mistakes, and that it goes on
mod browser; // the status page in a real Chromium
mod clock_jumps; // an hour ahead, an hour back
mod cluster; // the real Alertmanager, alone and three of them
mod cut_off; // a judge that reaches nobody for minutes, and is restarted meanwhile
mod dialects; // what speaks Prometheus' API and is not Prometheus
mod discovery; // targets and Alertmanagers by name
mod docs; // what the documents show is accepted
mod drift; // drift rules through the whole monitor
mod drift_durable; // and across restarts
mod durable; // what the binary remembers across restarts, crashes and reloads
mod e2e; // the binary beside the real Prometheus and Alertmanager
mod e2e_durable; // restarted, killed and reloaded beside the real Alertmanager
mod encode; // /metrics as strict readers see it
mod exposition_oracle; // the same samples as prometheus_client
#[path = "../../crates/engine/tests/it/exposition_reference.rs"]
mod exposition_reference; // a slow, obvious parser
mod faults; // every fault of target and receivers
mod fuzz_smoke; // the fuzz targets for a moment
mod hostile_clients; // floods, slow and stuck clients, and a scrape that is answered all the same
mod import_cycles; // no file imports another that imports it
mod judge_of_model; // one judge of many replicas, before the real Alertmanager
mod layers; // modules depend only downwards
mod monitor; // one tick after another, no socket, no clock
mod outbox; // kill -9 and the command
mod packs; // right about their own tests
mod plan; // what a Prometheus knows, before anything is installed
mod plan_servers; // and before servers with little, much, or no answer
mod probe; // scraped and judged on demand
mod promql_oracle; // the evaluator beside the real Prometheus
#[path = "../../crates/engine/tests/it/promql_random.rs"]
mod promql_random; // series and expressions from a seed
mod promql_suite; // Prometheus' own test suite
mod relay; // Alertmanager's webhook becomes retraining requests
mod reloads; // two hundred in a row, and ConfigMap swaps
mod replica_invariance; // one, three or fifty replicas
mod replicas; // three sidecars before three Alertmanagers
mod retrain; // gates, formats, deliveries
mod rollout; // replicas and versions that come and go
mod rule_files; // sixty mistakes, each with its message
mod rules_doc; // what the documents show is free of slips
mod schema; // editors know what the readers know
mod scrape_auth;
mod scrape_http; // transport behaviour
mod scrape_raw; // what only a raw listener can do
mod scrape_tls;
mod soak; // everything at once for a while
mod source; // the same rules over the real Prometheus
mod status_page;
mod store; // restarts, crashes, damage
mod torture; // what machine, network and target can do at their worst
mod torture_clock; // jumps and summer time
mod torture_disk; // full, read-only, hanging
mod twins; // promtool agrees on templates and states
mod two_instances; // standby and take-over, and two judges at once
mod unit_random; // random series, the same words as promtool
mod unit_tests; // promtool agrees on tests of rules
mod web_config; // TLS, passwords, certificates of clients, read again on change
