module github.com/chat-platform/chat

go 1.26
