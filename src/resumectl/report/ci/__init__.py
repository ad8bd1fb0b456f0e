"""Write the results of sweeps in the forms that CI services read."""
