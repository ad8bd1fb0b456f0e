"""The two agents, each with a client that approves the refund."""

from agent import agent, forgetful_agent, refunds, serve

from resumectl import Scenario

forgetful = Scenario(lambda: serve(forgetful_agent), observe=refunds)
recorded = Scenario(lambda: serve(agent), observe=refunds)
