"""The version of metarl; the built package takes its own from here."""

VERSION = "0.1.0"
