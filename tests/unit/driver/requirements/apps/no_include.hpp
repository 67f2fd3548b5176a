task<> start(net::stack auto& network);
