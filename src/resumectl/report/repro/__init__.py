"""Write a broken trial as a file that shows it again with dbos alone, and as a text for an issue."""
