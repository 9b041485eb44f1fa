/** What messages about memory that nobody freed begin with; a form that tolerates it is about something else. */
export const LEAK = "leak";
