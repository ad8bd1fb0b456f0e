"""Read and write the tables of the publisher and of DBOS, without loading dbos."""
