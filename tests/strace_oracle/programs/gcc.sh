cat >part.c <<END
double power(double base, int n) { double x = 1; while (n--) x *= base; return x; }
END
cat >main.c <<END
#include <stdio.h>
double power(double, int);
int main(void) { printf("%g\n", power(2, 10)); return 0; }
END
/usr/bin/gcc -O2 -Wall -flto -c part.c
/usr/bin/gcc -O2 -Wall -flto -c main.c
/usr/bin/gcc -O2 -flto=2 part.o main.o -o program
[ "$(./program)" = 1024 ]
echo done
