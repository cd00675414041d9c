//! Functions that are applied to each element on its own.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only functions of elements come here"
)]

use super::super::error::{PromqlError, Span};
use super::super::functions::Function;
use super::dates;
use super::table::NameDrop;
use super::{Context, ScalarOperator, Vector, VectorOperator};

/// A function applied to every element.
#[derive(Debug)]
pub(super) struct Elementwise {
    function: Function,
    inner: Box<dyn VectorOperator>,
    params: Vec<Box<dyn ScalarOperator>>,
    names: NameDrop,
    span: Span,
}

impl Elementwise {
    pub(super) fn new(
        function: Function,
        inner: Box<dyn VectorOperator>,
        params: Vec<Box<dyn ScalarOperator>>,
        span: Span,
    ) -> Self {
        Self {
            function,
            inner,
            params,
            names: NameDrop::default(),
            span,
        }
    }
}

impl VectorOperator for Elementwise {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let mut vector = self.inner.eval(cx, at)?;
        let mut params = [0.0; 2];
        for (place, param) in params.iter_mut().zip(&mut self.params) {
            *place = param.eval(cx, at)?;
        }
        vector.order = None;
        match self.function {
            // No scraped text holds a native histogram.
            native if native.is_of_native_histograms() => vector.filter(|_| false),
            Function::Clamp if params[1] < params[0] => vector.filter(|_| false),
            Function::Clamp => vector.map(|v| at_least(at_most(v, params[1]), params[0])),
            Function::ClampMin => vector.map(|v| at_least(v, params[0])),
            Function::ClampMax => vector.map(|v| at_most(v, params[0])),
            Function::Round => {
                let to = if self.params.is_empty() {
                    1.0
                } else {
                    params[0]
                };
                // Ties round up. Dividing by the inverse keeps decimal fractions exact, as in
                // Prometheus.
                vector.map(|v| (v * (1.0 / to) + 0.5).floor() / (1.0 / to));
            }
            // Of a computed vector the timestamp is the evaluation time; selectors are handled in
            // `build`.
            Function::Timestamp => {
                let now = crate::metric::Timestamp::from_millis(at).as_secs_f64();
                vector.map(|_| now);
            }
            function => vector.map(|v| simple(function, v)),
        }
        self.names.apply(cx, &mut vector, self.span)?;
        Ok(vector)
    }
}

/// Like `f64::max`, but NaN if either is NaN.
fn at_least(value: f64, bound: f64) -> f64 {
    if value.is_nan() || bound.is_nan() {
        f64::NAN
    } else {
        value.max(bound)
    }
}

/// Like `f64::min`, but NaN if either is NaN.
fn at_most(value: f64, bound: f64) -> f64 {
    if value.is_nan() || bound.is_nan() {
        f64::NAN
    } else {
        value.min(bound)
    }
}

fn simple(function: Function, v: f64) -> f64 {
    match function {
        Function::Abs => v.abs(),
        Function::Ceil => v.ceil(),
        Function::Floor => v.floor(),
        Function::Exp => v.exp(),
        Function::Ln => v.ln(),
        Function::Log2 => v.log2(),
        Function::Log10 => v.log10(),
        Function::Sqrt => v.sqrt(),
        Function::Sgn if v > 0.0 => 1.0,
        Function::Sgn if v < 0.0 => -1.0,
        Function::Sgn => v,
        Function::Acos => v.acos(),
        Function::Acosh => v.acosh(),
        Function::Asin => v.asin(),
        Function::Asinh => v.asinh(),
        Function::Atan => v.atan(),
        Function::Atanh => v.atanh(),
        Function::Cos => v.cos(),
        Function::Cosh => v.cosh(),
        Function::Sin => v.sin(),
        Function::Sinh => v.sinh(),
        Function::Tan => v.tan(),
        Function::Tanh => v.tanh(),
        Function::Deg => v * 180.0 / std::f64::consts::PI,
        Function::Rad => v * std::f64::consts::PI / 180.0,
        function => dates::part(function, v),
    }
}

#[cfg(test)]
mod tests {
    use crate::metric::{Labels, Timestamp};
    use crate::promql::{Batch, Expr, Query};

    fn values(text: &str) -> Vec<f64> {
        let at = Timestamp::from_millis(1000);
        let batch = Batch::new(vec![(Labels::named("x", [("l", "1")]), vec![(at, 7.0)])]);
        Query::new(Expr::parse(text).unwrap())
            .eval(&batch, at)
            .unwrap()
            .value
            .into_vector(at)
            .unwrap()
            .into_iter()
            .map(|sample| sample.value)
            .collect()
    }

    #[test]
    fn clamp_with_equal_bounds_returns_the_bound_and_with_crossed_ones_nothing() {
        assert_eq!(values("clamp(x, 5, 5)"), [5.0]);
        assert_eq!(values("clamp(x, 1, 10)"), [7.0]);
        assert_eq!(values("clamp(x, 6, 5)"), [0.0; 0]);
    }

    #[test]
    fn functions_of_native_histograms_return_nothing_for_other_samples() {
        for function in ["avg", "count", "stddev", "stdvar", "sum"] {
            assert_eq!(values(&format!("histogram_{function}(x)")), [0.0; 0]);
            assert_eq!(values(&format!("histogram_{function}(x) or x")), [7.0]);
        }
    }

    #[test]
    fn the_timestamp_of_a_sample_is_not_its_value() {
        assert_eq!(values("x"), [7.0]);
        assert_eq!(values("timestamp(x)"), [1.0]);
    }
}
