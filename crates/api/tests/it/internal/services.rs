//! Services, who works with them, and people.
