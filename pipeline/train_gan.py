"""Train one generator of the zoo, resumably:

python pipeline/train_gan.py --gan dcgan --images zoo/data/real/train --reference data/real
"""

from fakeface.base.errors import one_line_errors
from fakeface.zoo.train import main

if __name__ == "__main__":
    with one_line_errors():
        main()
