// Goroutines on many threads, a stack that grows by a gigabyte, signals, a child.
package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sync"
)

func descend(depth int) int {
	var frame [256]byte
	frame[depth%256] = 1
	if depth == 0 {
		return int(frame[0])
	}
	return descend(depth-1) + int(frame[1])*0 + 1
}

func fault() (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	var nowhere *int
	*nowhere = 1
	return ""
}

func main() {
	var group sync.WaitGroup
	results := make([]int, 200)
	for i := range results {
		group.Add(1)
		go func(i int) {
			runtime.LockOSThread()
			defer group.Done()
			results[i] = descend(1000 + i)
		}(i)
	}
	group.Wait()
	sum := 0
	for _, result := range results {
		sum += result
	}
	debug.SetMaxStack(1 << 30)
	fmt.Println(sum, descend(1000000))
	heap := map[int]string{}
	for i := 0; i < 200000; i++ {
		heap[i] = fmt.Sprint(i)
	}
	runtime.GC()
	output, err := exec.Command("sh", "-c", "echo child").Output()
	fmt.Printf("%d %q %v %s\n", len(heap), output, err, fault())
}
