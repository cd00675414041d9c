//! Integration tests, in one binary.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is missing"
)]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

mod absence; // series that a healthy target no longer exports
mod support;

mod alert_generator; // every notification beside those of the real Prometheus
mod alertmanager; // queues, retries, bisection, relabelling
mod api_shapes; // the API beside the real Prometheus; no secret in it
mod auto; // --rules=auto
mod backfill; // warm starts from the real Prometheus
mod backtest; // the same history from every source
mod bad_input; // errors for bad input; a running process goes on
mod belief; // what Alertmanager believes, against a plain model
mod broken_log; // standard error that stalls, is full or is closed
mod browser; // the status page in a real Chromium
mod clock_jumps; // an hour ahead, an hour back
mod cluster; // the real Alertmanager, alone and three of them
mod cut_off; // a judge without targets and receivers for minutes, restarted meanwhile
mod dialects; // servers with the API of Prometheus
mod discovery; // targets and Alertmanagers by name
mod docs; // examples in the documentation are accepted
mod drift; // drift rules in a whole monitor
mod drift_durable; // drift across restarts
mod durable; // the state of the binary across restarts, crashes and reloads
mod e2e; // the binary beside the real Prometheus and Alertmanager
mod e2e_durable; // restarted, killed and reloaded beside the real Alertmanager
mod embedding; // a service built with code of the caller
mod encode; // /metrics in strict parsers
mod exposition_oracle; // the same samples as prometheus_client
#[path = "../../crates/engine/tests/it/exposition_reference.rs"]
mod exposition_reference; // a slow, simple parser
mod faults; // every fault of target and receivers
mod few_observations; // quantiles, proportions and means of few observations
mod fuzz_smoke; // a short run of the fuzz targets
mod gates; // replicas and watches of one name ask each for themselves
mod half_sent; // bodies that never end are refused by their heads, and share a budget
mod hostile_clients; // floods, slow and stuck clients; scrapes are still answered
mod hostile_labels; // random labels on the series of every pack
mod hostile_targets; // bodies that cost or crowd out; the others are still watched
mod identity; // rule state over reloads and restarts
mod import_cycles; // no two files import each other
mod incident;
mod infinite; // values beyond every bound
mod judge_of_model; // one judge of many replicas, with the real Alertmanager
mod keep_running;
mod kept_connections; // no mistake ends a sidecar
mod label_supply; // labels that stop, or that are counted wrongly
mod layers; // allowed dependencies between modules
mod links; // the links of alerts are followed
mod long_ranges; // rules that look back further than the window
mod monitor; // ticks without a socket or a clock
mod outbox; // kill -9, and the command
mod packs; // the packs' own tests
mod page_states; // what a person reads on the status page in each state
mod pattern_oracle; // regular expressions beside promtool
mod plan; // sidewatch plan with the real Prometheus
mod plan_servers; // and with servers that have little data, or do not answer
mod probe; // one scrape, judged on demand
mod promql_oracle; // the evaluator compared with the real Prometheus
#[path = "../../crates/engine/tests/it/promql_random.rs"]
mod promql_random; // series and expressions from a seed
mod promql_suite; // scripts in Prometheus' test language
mod query_api; // queries beside the real Prometheus, promtool and Grafana
mod ratio; // counts of the binary, across a restart
mod readers; // clients that read large pages delay no scrape
mod receiver_limits; // of the APIs of retraining receivers
mod redirects; // of requests with a body
mod reference; // generated pages are up to date
mod relay; // Alertmanager's webhook becomes retraining requests
mod reloads; // two hundred in a row, and ConfigMap swaps
mod replica_invariance; // one, three or fifty replicas
mod replicas; // three sidecars and three Alertmanagers
mod retrain; // gates, formats, deliveries
mod retrain_hygiene; // which evidence requests rest on, and whether retraining helps
mod rollout; // replicas and versions that appear and disappear
mod rule_files; // sixty mistakes, each with its message
mod rules_doc; // no lint remark in the documentation
mod same_names; // random rules of equal names, in all that is exported
mod schema; // the schemas agree with the readers
mod scrape_auth; // credentials and headers
mod scrape_http; // transport behaviour
mod scrape_raw; // answers that need a raw listener
mod scrape_tls; // client certificates
mod slack; // the template for Slack, rendered by the real Alertmanager
mod soak; // all loads at once
mod source; // the same rules over the real Prometheus
mod spelling; // text stays as written, as promtool reads it
mod status_page; // the page, the API and refused requests
mod store; // restarts, crashes, damage
mod torture; // faults of machine, network and target
mod torture_bodies; // memory and punctuality under hostile answers
mod torture_clock; // jumps and summer time
mod torture_disk; // full, read-only, hanging
mod twins; // promtool agrees on templates and states
mod two_instances; // standby and takeover, and two judges at once
mod unit_random; // random series, the same results as promtool
mod unit_tests; // rule tests, compared with promtool
mod web_config; // TLS, passwords, client certificates, reloaded on change
