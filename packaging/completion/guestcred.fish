# what it loads fits the click that is installed
guestcred completion fish | source
