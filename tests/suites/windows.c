/* windows [NODES]: a program for Windows. Prints where its parts lie; with NODES, makes a list of
 * so many that point to each other, and waits to be ended. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

struct node {
    struct node *next, *first;
    int (*function)(int, char **);
    char text[40];
};

int main(int argc, char **argv) {
    int local = 0;
    struct node *list = NULL, *first = NULL;
    void *area = VirtualAlloc(NULL, 1 << 20, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
    for (int i = 0; i < (argc > 1 ? atoi(argv[1]) : 1); i++) {
        struct node *node = calloc(1, sizeof *node);
        if (node == NULL)
            return 1;
        first = first == NULL ? node : first;
        *node = (struct node){list, first, main, ""};
        snprintf(node->text, sizeof node->text, "node %d", i);
        list = node;
    }
    printf("%p %p %p %p %p\n", (void *)main, (void *)&local, (void *)list, area,
           (void *)GetModuleHandleA("kernel32.dll"));
    fflush(stdout);
    if (argc > 1)
        Sleep(INFINITE);
    return 0;
}
