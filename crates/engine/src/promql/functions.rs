//! The functions: names, arguments, results.

use super::types::Type;

/// What a function takes and gives.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    /// PromQL's name.
    pub name: &'static str,
    /// Types of the arguments; the last one repeats when more are allowed.
    pub args: &'static [Type],
    /// Fewest arguments.
    pub min: usize,
    /// Most arguments.
    pub max: usize,
    /// Type of the result.
    pub returns: Type,
}

const ANY: usize = usize::MAX;

macro_rules! functions {
    ($($variant:ident $name:literal ($($arg:ident),*) $min:literal ..= $max:tt => $returns:ident;)*) => {
        /// A function of PromQL.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are PromQL's")]
        pub enum Function { $($variant),* }

        const ALL: &[(Function, Signature)] = &[$((
            Function::$variant,
            Signature { name: $name, args: &[$(Type::$arg),*], min: $min, max: $max, returns: Type::$returns },
        )),*];
    };
}

functions! {
    Abs "abs" (Vector) 1..=1 => Vector;
    Absent "absent" (Vector) 1..=1 => Vector;
    AbsentOverTime "absent_over_time" (Matrix) 1..=1 => Vector;
    Acos "acos" (Vector) 1..=1 => Vector;
    Acosh "acosh" (Vector) 1..=1 => Vector;
    Asin "asin" (Vector) 1..=1 => Vector;
    Asinh "asinh" (Vector) 1..=1 => Vector;
    Atan "atan" (Vector) 1..=1 => Vector;
    Atanh "atanh" (Vector) 1..=1 => Vector;
    AvgOverTime "avg_over_time" (Matrix) 1..=1 => Vector;
    Ceil "ceil" (Vector) 1..=1 => Vector;
    Changes "changes" (Matrix) 1..=1 => Vector;
    Clamp "clamp" (Vector, Scalar, Scalar) 3..=3 => Vector;
    ClampMax "clamp_max" (Vector, Scalar) 2..=2 => Vector;
    ClampMin "clamp_min" (Vector, Scalar) 2..=2 => Vector;
    Cos "cos" (Vector) 1..=1 => Vector;
    Cosh "cosh" (Vector) 1..=1 => Vector;
    CountOverTime "count_over_time" (Matrix) 1..=1 => Vector;
    DayOfMonth "day_of_month" (Vector) 0..=1 => Vector;
    DayOfWeek "day_of_week" (Vector) 0..=1 => Vector;
    DayOfYear "day_of_year" (Vector) 0..=1 => Vector;
    DaysInMonth "days_in_month" (Vector) 0..=1 => Vector;
    Deg "deg" (Vector) 1..=1 => Vector;
    Delta "delta" (Matrix) 1..=1 => Vector;
    Deriv "deriv" (Matrix) 1..=1 => Vector;
    DoubleExponentialSmoothing "double_exponential_smoothing" (Matrix, Scalar, Scalar) 3..=3 => Vector;
    Exp "exp" (Vector) 1..=1 => Vector;
    FirstOverTime "first_over_time" (Matrix) 1..=1 => Vector;
    Floor "floor" (Vector) 1..=1 => Vector;
    HistogramFraction "histogram_fraction" (Scalar, Scalar, Vector) 3..=3 => Vector;
    HistogramQuantile "histogram_quantile" (Scalar, Vector) 2..=2 => Vector;
    HistogramQuantiles "histogram_quantiles" (Vector, Text, Scalar) 3..=12 => Vector;
    Hour "hour" (Vector) 0..=1 => Vector;
    Idelta "idelta" (Matrix) 1..=1 => Vector;
    Increase "increase" (Matrix) 1..=1 => Vector;
    Irate "irate" (Matrix) 1..=1 => Vector;
    LabelJoin "label_join" (Vector, Text, Text, Text) 3..=ANY => Vector;
    LabelReplace "label_replace" (Vector, Text, Text, Text, Text) 5..=5 => Vector;
    LastOverTime "last_over_time" (Matrix) 1..=1 => Vector;
    Ln "ln" (Vector) 1..=1 => Vector;
    Log10 "log10" (Vector) 1..=1 => Vector;
    Log2 "log2" (Vector) 1..=1 => Vector;
    MadOverTime "mad_over_time" (Matrix) 1..=1 => Vector;
    MaxOverTime "max_over_time" (Matrix) 1..=1 => Vector;
    MinOverTime "min_over_time" (Matrix) 1..=1 => Vector;
    Minute "minute" (Vector) 0..=1 => Vector;
    Month "month" (Vector) 0..=1 => Vector;
    Pi "pi" () 0..=0 => Scalar;
    PredictLinear "predict_linear" (Matrix, Scalar) 2..=2 => Vector;
    PresentOverTime "present_over_time" (Matrix) 1..=1 => Vector;
    QuantileOverTime "quantile_over_time" (Scalar, Matrix) 2..=2 => Vector;
    Rad "rad" (Vector) 1..=1 => Vector;
    Rate "rate" (Matrix) 1..=1 => Vector;
    Resets "resets" (Matrix) 1..=1 => Vector;
    Round "round" (Vector, Scalar) 1..=2 => Vector;
    Scalar "scalar" (Vector) 1..=1 => Scalar;
    Sgn "sgn" (Vector) 1..=1 => Vector;
    Sin "sin" (Vector) 1..=1 => Vector;
    Sinh "sinh" (Vector) 1..=1 => Vector;
    Sort "sort" (Vector) 1..=1 => Vector;
    SortByLabel "sort_by_label" (Vector, Text) 1..=ANY => Vector;
    SortByLabelDesc "sort_by_label_desc" (Vector, Text) 1..=ANY => Vector;
    SortDesc "sort_desc" (Vector) 1..=1 => Vector;
    Sqrt "sqrt" (Vector) 1..=1 => Vector;
    StddevOverTime "stddev_over_time" (Matrix) 1..=1 => Vector;
    StdvarOverTime "stdvar_over_time" (Matrix) 1..=1 => Vector;
    SumOverTime "sum_over_time" (Matrix) 1..=1 => Vector;
    Tan "tan" (Vector) 1..=1 => Vector;
    Tanh "tanh" (Vector) 1..=1 => Vector;
    Time "time" () 0..=0 => Scalar;
    Timestamp "timestamp" (Vector) 1..=1 => Vector;
    TsOfFirstOverTime "ts_of_first_over_time" (Matrix) 1..=1 => Vector;
    TsOfLastOverTime "ts_of_last_over_time" (Matrix) 1..=1 => Vector;
    TsOfMaxOverTime "ts_of_max_over_time" (Matrix) 1..=1 => Vector;
    TsOfMinOverTime "ts_of_min_over_time" (Matrix) 1..=1 => Vector;
    Vector "vector" (Scalar) 1..=1 => Vector;
    Year "year" (Vector) 0..=1 => Vector;
}

/// Functions that are PromQL but not ours, with what they need.
const REFUSED: [(&str, &str); 15] = [
    ("histogram_avg", "native histograms"),
    ("histogram_count", "native histograms"),
    ("histogram_sum", "native histograms"),
    ("histogram_stddev", "native histograms"),
    ("histogram_stdvar", "native histograms"),
    ("info", "joins with info metrics"),
    ("start_timestamp", "start timestamps"),
    ("limitk", "sampling of series"),
    ("limit_ratio", "sampling of series"),
    ("step", "duration expressions"),
    ("range", "duration expressions"),
    ("min_of", "duration expressions"),
    ("max_of", "duration expressions"),
    ("start", "duration expressions"),
    ("end", "duration expressions"),
];

impl Function {
    /// The function of this name; `holt_winters` is the old name of `double_exponential_smoothing`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = match name {
            "holt_winters" => "double_exponential_smoothing",
            other => other,
        };
        ALL.iter().find(|(_, s)| s.name == name).map(|(f, _)| *f)
    }

    /// What it takes and gives.
    #[must_use]
    pub fn signature(self) -> &'static Signature {
        // The table is in the order of the variants.
        &ALL[self as usize].1
    }
}

impl Signature {
    /// The type of the argument at this place.
    pub(super) fn arg(&self, index: usize) -> Option<Type> {
        self.args.get(index).or(self.args.last()).copied()
    }
}

/// What a function that is PromQL but not ours needs.
pub(super) fn refusal(name: &str) -> Option<&'static str> {
    REFUSED
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, why)| *why)
}

/// The known name nearest to a mistyped one.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let known = ALL.iter().map(|(_, s)| s.name);
    let known = known.chain(super::aggregates::AGGREGATES.iter().map(|(name, _)| *name));
    let scored = known.map(|candidate| {
        (
            distance(name, candidate),
            !candidate.starts_with(name),
            candidate,
        )
    });
    let (distance, _, best) = scored.min()?;
    (distance <= 2.max(name.len() / 4)).then_some(best)
}

/// Levenshtein's distance over bytes.
fn distance(a: &str, b: &str) -> usize {
    // A name this long is no slip of the pen.
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{ALL, Function, nearest};

    #[test]
    fn the_table_is_in_the_order_of_the_variants_and_of_the_alphabet() {
        for (place, (function, signature)) in ALL.iter().enumerate() {
            assert_eq!(*function as usize, place);
            assert_eq!(Function::named(signature.name), Some(*function));
        }
        assert!(ALL.is_sorted_by_key(|(_, signature)| signature.name));
    }

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        assert_eq!(nearest("histogram_quantil"), Some("histogram_quantile"));
        assert_eq!(nearest("rat"), Some("rate"));
        assert_eq!(nearest("frobnicate"), None);
    }
}
