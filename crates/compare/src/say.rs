//! Words on the terminal. One who stops listening (`| head`) does not stop a run: what cannot be written is left unsaid.

/// A line on standard output.
macro_rules! say {
    ($($words:tt)*) => {{
        let _ = ::std::io::Write::write_fmt(&mut ::std::io::stdout().lock(), format_args!("{}\n", format_args!($($words)*)));
    }};
}

/// A line on standard error.
macro_rules! tell {
    ($($words:tt)*) => {{
        let _ = ::std::io::Write::write_fmt(&mut ::std::io::stderr().lock(), format_args!("{}\n", format_args!($($words)*)));
    }};
}
