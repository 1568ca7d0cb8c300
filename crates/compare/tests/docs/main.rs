//! The pages: every link leads somewhere, and every command is one that the program knows.

mod commands;
mod links;
mod pages;
