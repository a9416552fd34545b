# Pipes, forks, alarms, signals and Perl's own threads.
use strict;
use warnings;
use threads;
use POSIX ":sys_wait_h";
$| = 1;
my %ended;
for my $number (1 .. 60) {
    my $pid = fork // die $!;
    if (!$pid) { kill $number % 2 ? 'TERM' : 'KILL', $$ if $number % 3 == 0; exit $number; }
    $ended{$pid} = $number;
}
while ((my $pid = wait) > 0) { $ended{"done$ended{$pid}"} = $?; }
print join(" ", map { $ended{"done$_"} } 1 .. 60), "\n";
my $rang = 0;
$SIG{ALRM} = sub { $rang++ };
alarm 1;
sleep 5;
print "rang $rang\n";
print join(",", map { $_->join } map { my $n = $_; threads->create(sub { my @x = (1 .. 2000); $n * @x }) } 1 .. 4), "\n";
my $thread = threads->create(sub { system("exit 3;"); `echo from a thread` });
print $thread->join;
open(my $pipe, "-|", "seq 5 | tac") or die;
print <$pipe>;
close $pipe;
my $string = join "", map { chr(65 + $_ % 26) } 1 .. 300_000;
print length($string), " ", unpack("%32C*", $string), "\n";
exec "sh", "-c", "echo \$0 \$#; exit 9", "name", "a", "b";
