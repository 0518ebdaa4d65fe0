//! What a request presents: where it is looked for, in order, and the three outcomes.
