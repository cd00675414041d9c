//! The functions of PromQL: their names and types.

use super::aggregates::AGGREGATES;
use super::types::Type;

/// The name and the types of a function.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    /// PromQL's name.
    pub name: &'static str,
    /// The types of the arguments; the last one repeats if more are allowed.
    pub args: &'static [Type],
    /// The fewest arguments.
    pub min: usize,
    /// The most arguments.
    pub max: usize,
    /// The type of the result.
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
    HistogramAvg "histogram_avg" (Vector) 1..=1 => Vector;
    HistogramCount "histogram_count" (Vector) 1..=1 => Vector;
    HistogramFraction "histogram_fraction" (Scalar, Scalar, Vector) 3..=3 => Vector;
    HistogramQuantile "histogram_quantile" (Scalar, Vector) 2..=2 => Vector;
    HistogramQuantiles "histogram_quantiles" (Vector, Text, Scalar) 3..=12 => Vector;
    HistogramStddev "histogram_stddev" (Vector) 1..=1 => Vector;
    HistogramStdvar "histogram_stdvar" (Vector) 1..=1 => Vector;
    HistogramSum "histogram_sum" (Vector) 1..=1 => Vector;
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

/// The functions of PromQL that are not supported, with the feature they need.
const REFUSED: [(&str, &str); 10] = [
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
    /// Whether the function reads native histograms only, and returns nothing for other samples.
    #[must_use]
    pub fn is_of_native_histograms(self) -> bool {
        matches!(
            self,
            Self::HistogramAvg
                | Self::HistogramCount
                | Self::HistogramStddev
                | Self::HistogramStdvar
                | Self::HistogramSum
        )
    }

    /// The function with this name; `holt_winters` is the old name of
    /// `double_exponential_smoothing`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = match name {
            "holt_winters" => "double_exponential_smoothing",
            other => other,
        };
        ALL.iter().find(|(_, s)| s.name == name).map(|(f, _)| *f)
    }

    /// The name and the types.
    #[must_use]
    pub fn signature(self) -> &'static Signature {
        // The table is in the order of the variants.
        &ALL[self as usize].1
    }
}

impl Signature {
    /// The type of the argument with this index.
    pub(super) fn arg(&self, index: usize) -> Option<Type> {
        self.args.get(index).or(self.args.last()).copied()
    }
}

/// The feature that an unsupported function needs; `None` for other names.
pub(super) fn refusal(name: &str) -> Option<&'static str> {
    REFUSED
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, why)| *why)
}

/// What other languages call functions and aggregations.
const OTHER_WORDS: [(&str, &str); 6] = [
    ("average", "avg"),
    ("mean", "avg"),
    ("median", "quantile"),
    ("percentile", "quantile"),
    ("std", "stddev"),
    ("variance", "stdvar"),
];

/// The function or aggregation that a name may mean: by its meaning, or the nearest to a mistyped
/// one.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let other_word = OTHER_WORDS.iter().find(|(word, _)| *word == name);
    if let Some((_, meant)) = other_word {
        return Some(meant);
    }
    let functions = ALL.iter().map(|(_, signature)| signature.name);
    let aggregations = AGGREGATES.iter().map(|(name, _)| *name);
    crate::metric::nearest(name, functions.chain(aggregations), 2.max(name.len() / 4))
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
    fn a_typing_mistake_is_recognized() {
        assert_eq!(nearest("histogram_quantil"), Some("histogram_quantile"));
        assert_eq!(nearest("rat"), Some("rate"));
        assert_eq!(nearest("frobnicate"), None);
    }
}
