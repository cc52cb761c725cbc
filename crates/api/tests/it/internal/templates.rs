//! Templates as the front end makes them.
