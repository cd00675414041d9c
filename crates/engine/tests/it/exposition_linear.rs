//! The work of ingesting grows with the bytes of a body, whatever a target puts into them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use sidewatch_engine::exposition::{Exposition, Format, Ingester, ScrapeLimits};
use sidewatch_engine::metric::{Labels, SeriesFilter, Timestamp};
use sidewatch_engine::series::{ScrapeStats, Window, WindowLimits};

/// The bodies that a target answers, one after the other.
type Bodies = Vec<String>;

/// A family of hostile bodies of a given size.
type Shape = (&'static str, Format, fn(usize) -> Bodies);

const SMALL: usize = 1_500;

/// How much larger the larger body is. Quadratic work grows by the square of it.
const TIMES: usize = 8;

const SHAPES: [Shape; 22] = [
    ("equal lines after a new one", Format::Text, |n| {
        let equal = "x 1\n".repeat(n);
        (0..3)
            .map(|i| format!("y{{i=\"{i}\"}} 1\n{equal}"))
            .collect()
    }),
    ("labels on one series", Format::Text, |n| {
        vec![format!("x{{{}}} 1\n", list(n, |i| format!("l{i}=\"v\"")))]
    }),
    ("equal label names on one series", Format::Text, |n| {
        vec![format!("x{{{}}} 1\n", list(n, |_| "l=\"v\"".to_owned()))]
    }),
    ("labels with empty values", Format::Text, |n| {
        vec![format!("x{{{}}} 1\n", list(n, |i| format!("l{i}=\"\"")))]
    }),
    (
        "label names that grow out of a target label",
        Format::Text,
        |n| {
            let chain = list((n / 50).isqrt() * 3, |i| {
                format!("{}job=\"v\"", "exported_".repeat(i))
            });
            let rest = list(n, |i| format!("l{i}=\"v\""));
            vec![format!("x{{{chain},{rest}}} 1\n")]
        },
    ),
    ("series that differ in one label", Format::Text, |n| {
        vec![lines(n, |i| format!("x{{i=\"{i}\"}} 1"))]
    }),
    ("other series at every scrape", Format::Text, |n| {
        (0..4)
            .map(|scrape| lines(n, |i| format!("x{{i=\"{scrape}-{i}\"}} 1")))
            .collect()
    }),
    (
        "other series at every scrape that fails",
        Format::Text,
        |n| {
            let scrape = |scrape| lines(n, |i| format!("x{{i=\"{scrape}-{i}\"}} 1")) + "x bad\n";
            (0..4).map(scrape).collect()
        },
    ),
    ("series in reverse order", Format::Text, |n| {
        let line = |i| format!("x{{i=\"{i}\"}} 1");
        vec![lines(n, line), lines(n, |i| line(n - i))]
    }),
    (
        "a series that is written with blanks before its labels",
        Format::Text,
        |n| {
            vec![
                "x 1\n".to_owned(),
                lines(n, |i| format!("x {{i=\"{i}\"}} 1")),
                "x 1\n".to_owned(),
            ]
        },
    ),
    (
        "a bare name before blanks and labels, again and again",
        Format::Text,
        |n| {
            let hidden = lines(n, |i| format!("x {{i=\"{i}\"}} 1"));
            vec!["x 1\n".to_owned(), format!("{hidden}x bad\n"), hidden]
        },
    ),
    ("types", Format::Text, |n| {
        vec![lines(n, |i| format!("# TYPE m{i} gauge"))]
    }),
    ("a long type name before many lines", Format::Text, |n| {
        let name = "x".repeat(n * 10);
        let scrape = |value| {
            format!(
                "# TYPE {name} gauge\n{}",
                lines(n, |i| format!("m{i} {value}"))
            )
        };
        vec![scrape("1e1"), scrape("1e2"), scrape("1e3")]
    }),
    ("bounds under a long type name", Format::Text, |n| {
        let name = "x".repeat(n * 10);
        let scrape = |value| {
            format!(
                "# TYPE {name} histogram\n{}",
                lines(n, |i| format!("m{{le=\"{i}\"}} {value}"))
            )
        };
        vec![scrape("1e1"), scrape("1e2")]
    }),
    ("empty lines", Format::Text, |n| vec!["\n".repeat(n * 20)]),
    ("comments", Format::Text, |n| vec!["#\n".repeat(n * 10)]),
    ("a long name", Format::Text, |n| {
        vec![format!("{} 1\n", "x".repeat(n * 20))]
    }),
    ("a long value", Format::Text, |n| {
        vec![format!("x{{l=\"{}\"}} 1\n", "v".repeat(n * 20))]
    }),
    ("escapes", Format::Text, |n| {
        vec![format!("x{{l=\"{}\"}} 1\n", "\\\\".repeat(n * 10))]
    }),
    ("line breaks within values", Format::Text, |n| {
        vec![format!("x{{l=\"{}\"}} 1\n", "\nx 1".repeat(n))]
    }),
    ("values with a common start", Format::Text, |n| {
        let start = "v".repeat(64);
        let scrape = |odd: usize| lines(n, |i| format!("x{{l=\"{start}{}\"}} 1", i * 2 + odd));
        vec![scrape(0), scrape(1), scrape(0)]
    }),
    ("exemplars and units", Format::OpenMetrics, |n| {
        let lines = lines(n, |i| {
            format!("# TYPE a{i} counter\n# UNIT a{i} \na{i}_total 1 # {{t=\"{i}\"}} 1")
        });
        vec![format!("{lines}# EOF\n"), format!("{lines}# EOF\n")]
    }),
];

fn list(n: usize, item: impl Fn(usize) -> String) -> String {
    (0..n).map(item).collect::<Vec<_>>().join(",")
}

fn lines(n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).fold(String::new(), |mut all, i| {
        writeln!(all, "{}", line(i)).unwrap();
        all
    })
}

/// The microseconds that this thread has computed: other work on the machine does not count. 0
/// where the system does not say.
fn computed() -> u32 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos: u64 = text.split(' ').next().unwrap().parse().unwrap_or(0);
    u32::try_from(nanos / 1000).unwrap()
}

/// How long the scrapes of a target that answers these bodies take, without any limit, in
/// microseconds.
fn cost(bodies: &[String], format: Format) -> u32 {
    let target = Labels::new([("instance", "a:1"), ("job", "j")]);
    let wanted = Arc::new(SeriesFilter::everything());
    let mut ingester = Ingester::new(ScrapeLimits::NONE, target.clone(), false, true, wanted);
    let mut window = Window::new(WindowLimits {
        retention: Duration::from_secs(20),
        ..WindowLimits::default()
    });
    let id = window.add_target(target);
    let before = computed();
    for (scrape, body) in (0..).zip(bodies) {
        let at = Timestamp::from_millis(scrape * 15_000);
        let exposition = Exposition::new(body.as_str(), format, at);
        let block = window.target_mut(id).unwrap();
        block.begin(at);
        match ingester.ingest(&exposition, block) {
            Ok(_) => block.commit(&ScrapeStats::default()),
            Err(_) => block.fail(at, Duration::ZERO),
        }
    }
    computed() - before
}

#[test]
fn a_body_that_is_larger_costs_more_in_proportion() {
    for (name, format, shape) in SHAPES {
        let best = |n: usize| {
            let bodies = shape(n);
            let runs = (0..2).map(|_| cost(&bodies, format));
            let bytes: usize = bodies.iter().map(String::len).sum();
            (runs.min().unwrap(), u32::try_from(bytes).unwrap())
        };
        let ((small, few), (large, many)) = (best(SMALL), best(SMALL * TIMES));
        // The clock of a thread is as coarse as a tick of the scheduler.
        let grown = f64::from(large) / f64::from(small.max(4000));
        let bytes = f64::from(many) / f64::from(few);
        assert!(
            grown < bytes * 3.0,
            "{name}: {grown:.0} times the work for {bytes:.0} times the bytes"
        );
    }
}
