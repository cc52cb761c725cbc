//! Figures: dashboards, template usage, platform.
