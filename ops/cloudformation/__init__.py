"""The two stacks: changed by change sets, watched, asked for their drift; and the key that encrypts what they hold."""
