"""Write the result of a sweep as one page of HTML, with drawings."""
