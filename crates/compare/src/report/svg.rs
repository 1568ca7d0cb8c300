//! A small writer of SVG. Text is escaped, numbers have one digit, colours are classes of the page's style sheet.

use std::fmt::Write;

/// A drawing in its own units, which the page scales.
#[derive(Debug, Clone)]
pub(super) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Where a text ends up beside its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.path(class, &[from, to]);
    }

    /// A line through several points.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut d = String::new();
        for (i, (x, y)) in points.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(d, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
        }
        self.element(&format!("<path class=\"{}\" d=\"{d}\"/>", escape(class)));
    }

    /// A rectangle; without width or height it is not drawn.
    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), width: f64, height: f64) {
        if width > 0.0 && height > 0.0 {
            let class = escape(class);
            self.element(&format!(
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            ));
        }
    }

    /// A line of text.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (class, text) = (escape(class), escape(text));
        self.element(&format!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    /// A mark of one of four shapes (disc, square, triangle, diamond; more start over) with further attributes, which
    /// are escaped.
    pub fn mark(&mut self, class: &str, shape: usize, (x, y): (f64, f64), size: f64, attributes: &[(&str, &str)]) {
        let mut more = String::new();
        for (name, value) in attributes {
            let _ = write!(more, " {name}=\"{}\"", escape(value));
        }
        let (class, s) = (escape(class), size);
        self.element(&match shape % 4 {
            0 => format!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{s:.1}\"{more}/>"),
            1 => format!(
                "<path class=\"{class}\" d=\"M{:.1} {:.1}h{2:.1}v{2:.1}h-{2:.1}z\"{more}/>",
                x - s,
                y - s,
                2.0 * s
            ),
            2 => format!(
                "<path class=\"{class}\" d=\"M{x:.1} {:.1}L{:.1} {3:.1}H{:.1}z\"{more}/>",
                y - 1.2 * s,
                x + 1.1 * s,
                x - 1.1 * s,
                y + 0.9 * s
            ),
            _ => format!(
                "<path class=\"{class}\" d=\"M{x:.1} {:.1}L{:.1} {y:.1}L{x:.1} {:.1}L{:.1} {y:.1}z\"{more}/>",
                y - 1.3 * s,
                x + 1.3 * s,
                y + 1.3 * s,
                x - 1.3 * s
            ),
        });
    }

    /// The whole element. `label` says what it shows to those who do not see it.
    pub fn render(&self, label: &str) -> String {
        let Self { width, height, body } = self;
        let label = escape(label);
        format!("<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{label}\">{body}</svg>")
    }

    fn element(&mut self, text: &str) {
        self.body.push_str(text);
        self.body.push('\n');
    }
}

/// A range of values laid out over a length of the drawing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// Values at both ends.
    pub values: (f64, f64),
    /// Places of both ends.
    pub places: (f64, f64),
}

impl Scale {
    /// The place of a value; values outside go to the ends.
    pub fn at(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let share = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// About `count` round values inside the range.
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        let (low, high) = self.values;
        let rough = (high - low) / count.max(1) as f64;
        if !rough.is_finite() || rough <= 0.0 {
            return vec![low];
        }
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        let first = (low / step).ceil() as i64;
        (first..).map(|i| i as f64 * step).take_while(|tick| *tick <= high + 1e-9 * step).take(20).collect()
    }
}

/// A round value without the digits of its rounding.
pub(super) fn tick_text(value: f64) -> String {
    // Adding zero takes the sign from a negative one.
    ((value * 1e4).round() / 1e4 + 0.0).to_string()
}

/// Text for inside an element or a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_escaped() {
        let mut svg = Svg::new(10.0, 20.0);
        let hostile = "\"><script>'&";
        svg.text(hostile, (1.0, 2.0), Anchor::Middle, hostile);
        svg.mark(hostile, 2, (1.0, 2.0), 3.0, &[("data-name", hostile)]);
        svg.rect(hostile, (0.0, 0.0), 1.0, 1.0);
        svg.line(hostile, (0.0, 0.0), (1.0, 1.0));
        let text = svg.render(hostile);
        assert!(!text.contains("<script") && !text.contains("'&") && !text.contains("\"\">"), "{text}");
        assert!(text.starts_with("<svg viewBox=\"0 0 10 20\" role=\"img\" aria-label=\"&quot;&gt;&lt;script&gt;"));
    }

    #[test]
    fn shapes() {
        let mut svg = Svg::new(10.0, 10.0);
        (0..5).for_each(|shape| svg.mark("c", shape, (5.0, 5.0), 2.0, &[]));
        svg.rect("c", (1.0, 1.0), 0.0, 5.0);
        svg.path("c", &[(0.0, 1.0), (2.0, 3.0)]);
        let text = svg.render("l");
        assert_eq!((text.matches("<circle").count(), text.matches("<path").count()), (2, 4));
        assert!(text.contains("M3.0 3.0h4.0v4.0h-4.0z") && text.contains("M0.0 1.0L2.0 3.0"), "{text}");
        assert!(text.contains("M5.0 2.6L7.2 6.8H2.8z"), "{text}");
        assert!(!text.contains("<rect"));
    }

    #[test]
    fn scales_and_ticks() {
        let scale = Scale { values: (0.0, 2.0), places: (10.0, 110.0) };
        assert_eq!((scale.at(1.0), scale.at(-5.0), scale.at(9.0)), (60.0, 10.0, 110.0));
        assert_eq!(scale.ticks(4), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!([3.0 * 0.1, 10.0, -0.00001].map(tick_text), ["0.3", "10", "0"]);
        let narrow = Scale { values: (0.52, 0.58), places: (0.0, 1.0) };
        assert_eq!(narrow.ticks(3).len(), 4);
        let none = Scale { values: (1.0, 1.0), places: (0.0, 10.0) };
        assert_eq!((none.at(1.0), none.ticks(4)), (5.0, vec![1.0]));
    }
}
