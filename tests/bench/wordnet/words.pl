# WordNet as a graph in memory, then idle.
use strict;
use warnings;
no warnings 'recursion';
$| = 1;

my %kinds = (v => 'verb', a => 'adj', s => 'adj', r => 'adv');
my (%synsets, %index, %counts);
for my $kind ('verb', 'adj', 'adv') {
    open my $file, '<', "/usr/share/wordnet/data.$kind" or die $!;
    while (my $line = <$file>) {
        next if $line =~ /^ /;
        $line =~ s/\s+$//;
        my ($data, $gloss) = split / \| /, $line, 2;
        my @fields = split / /, $data;
        my $words_end = 4 + 2 * hex $fields[3];
        my $links_end = $words_end + 1 + 4 * $fields[$words_end];
        my %synset = (id => $kind . $fields[0], words => [], gloss => $gloss, links => []);
        for (my $at = 4; $at < $words_end; $at += 2) {
            push @{$synset{words}}, $fields[$at];
            push @{$index{lc $fields[$at]}}, \%synset;
        }
        for (my $at = $words_end + 1; $at < $links_end; $at += 4) {
            my $target = ($kinds{$fields[$at + 2]} // 'noun') . $fields[$at + 1];
            push @{$synset{links}}, [$fields[$at], $target];
        }
        $synsets{$synset{id}} = \%synset;
        $counts{$_}++ for lc($gloss) =~ /[a-z]+/g;
    }
}

sub depth {
    my $synset = shift;
    if (!defined $synset->{depth}) {
        # WordNet 3.0 has a circle of two verbs.
        $synset->{depth} = 0;
        my $most = -1;
        for my $link (@{$synset->{links}}) {
            next if $link->[0] ne '@';
            my $above = depth($link->[1]);
            $most = $above if $above > $most;
        }
        $synset->{depth} = $most + 1;
    }
    return $synset->{depth};
}

for my $id (sort keys %synsets) {
    my @links = map { [$_->[0], $synsets{$_->[1]}] }
        grep { exists $synsets{$_->[1]} } @{$synsets{$id}{links}};
    $synsets{$id}{links} = \@links;
}
my $deepest = 0;
for my $id (sort keys %synsets) {
    my $depth = depth($synsets{$id});
    $deepest = $depth if $depth > $deepest;
}
my ($common) = sort { $counts{$b} <=> $counts{$a} || $a cmp $b } keys %counts;
printf "ready %s: %d %d %d %s %d\n", $ARGV[0], scalar keys %synsets, scalar keys %index,
    scalar keys %counts, $common, $deepest;
sleep 1 while 1;
